//! Reviews: what a user may do, and who the user is.

use super::body::{self, Answer};
use super::call::Call;
use super::rbac::Access;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::settings::User;
use crate::value::{at, items, set, text};
use serde_json::{Value, json};

impl Cluster {
    /// Answers a review. Everybody may ask about themselves.
    pub(crate) fn answer_review(
        &self,
        call: &Call<'_>,
        resource: &str,
        namespace: Option<&str>,
    ) -> Result<Answer, Refusal> {
        if call.request.method() != http::Method::POST {
            return Err(Refusal::method_not_allowed());
        }
        let (group, kind) = match resource {
            "selfsubjectaccessreviews" => ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
            "selfsubjectrulesreviews" => ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
            "selfsubjectreviews" => ("authentication.k8s.io/v1", "SelfSubjectReview"),
            "localsubjectaccessreviews" => ("authorization.k8s.io/v1", "LocalSubjectAccessReview"),
            _ => ("authorization.k8s.io/v1", "SubjectAccessReview"),
        };
        let mut review = body::read(call, self.schema(), kind)?;
        if !review.is_object() {
            return Err(Refusal::bad_request("the object provided is unrecognized (must be of type Object)"));
        }
        let status = match resource {
            "selfsubjectaccessreviews" => self.review_access(call.user, &review),
            "selfsubjectrulesreviews" => self.review_rules(call.user, text(&review, "spec.namespace")),
            "selfsubjectreviews" => {
                json!({"userInfo": {"username": call.user.name, "groups": call.user.groups}})
            }
            _ => {
                let access = Access {
                    verb: "create",
                    group: "authorization.k8s.io",
                    resource,
                    namespace: namespace.unwrap_or_default(),
                    ..Access::default()
                };
                if !self.is_allowed(call.user, &access) {
                    let why = format!(
                        "User \"{}\" cannot create resource \"{resource}\" in API group \"authorization.k8s.io\" \
                         at the cluster scope",
                        call.user.name
                    );
                    return Err(Refusal::forbidden_resource("authorization.k8s.io", resource, &why));
                }
                let groups =
                    items(&review, "spec.groups").iter().filter_map(Value::as_str).map(str::to_owned);
                let subject = User { name: text(&review, "spec.user").to_owned(), groups: groups.collect() };
                self.review_access(&subject, &review)
            }
        };
        set(&mut review, "apiVersion", group);
        set(&mut review, "kind", kind);
        set(&mut review, "status", status);
        Ok(Answer::object(201, review))
    }

    fn review_access(&self, user: &User, review: &Value) -> Value {
        let resource = at(review, "spec.resourceAttributes");
        let path = text(review, "spec.nonResourceAttributes.path");
        let access = match path.is_empty() {
            true => Access {
                verb: text(resource, "verb"),
                group: text(resource, "group"),
                resource: text(resource, "resource"),
                subresource: text(resource, "subresource"),
                namespace: text(resource, "namespace"),
                name: text(resource, "name"),
                path: "",
            },
            false => {
                Access { verb: text(review, "spec.nonResourceAttributes.verb"), path, ..Access::default() }
            }
        };
        if self.is_allowed(user, &access) { json!({"allowed": true}) } else { json!({"allowed": false}) }
    }

    fn review_rules(&self, user: &User, namespace: &str) -> Value {
        // The built-in binding to cluster-admin covers the group of masters.
        let (mut resources, mut paths) = (json!([]), json!([]));
        for rule in self.rules_of(user, namespace) {
            let list = if at(rule, "nonResourceURLs").is_null() { &mut resources } else { &mut paths };
            crate::value::list(list).push(rule.clone());
        }
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }
}
