//! Users and what they may do.

use crate::fixture::{CONFIG_MAPS, World};
use exokit_kube_sim::User;
use serde_json::json;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1";

fn bob() -> User {
    User { name: "bob".into(), groups: vec!["dev".into()] }
}

#[test]
fn users_may_do_what_their_roles_permit() {
    let mut world = World::new();
    let role = json!({
        "metadata": {"name": "maps"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"], "resourceNames": []}],
    });
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    assert_eq!(world.post(&format!("{rbac}/namespaces/default/roles"), &role).code, 201);
    let binding = json!({
        "metadata": {"name": "maps"}, "roleRef": {"kind": "Role", "name": "maps", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "Group", "name": "dev", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    assert_eq!(world.post(&format!("{rbac}/namespaces/default/rolebindings"), &binding).code, 201);
    let admin = std::mem::replace(&mut world.user, bob());
    let cases = [
        ("GET", CONFIG_MAPS, ""),
        ("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", ""),
        (
            "DELETE",
            "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
            "configmaps \"kube-root-ca.crt\" is forbidden: User \"bob\" cannot delete resource \"configmaps\" in API group \"\" in the namespace \"default\"",
        ),
        (
            "GET",
            "/api/v1/namespaces/kube-system/configmaps",
            "configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"kube-system\"",
        ),
        (
            "GET",
            "/api/v1/nodes",
            "nodes is forbidden: User \"bob\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
        ),
        (
            "GET",
            "/apis/apps/v1/deployments",
            "deployments.apps is forbidden: User \"bob\" cannot list resource \"deployments\" in API group \"apps\" at the cluster scope",
        ),
        ("GET", "/version", ""),
    ];
    for (method, path, message) in cases {
        let got = world.request(method, path, &[], "");
        assert_eq!(got.message(), message, "{method} {path}");
        assert_eq!(got.code, if message.is_empty() { 200 } else { 403 });
    }
    world.user = admin;
    let everywhere = json!({
        "metadata": {"name": "view"}, "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    assert_eq!(world.post(&format!("{rbac}/clusterrolebindings"), &everywhere).code, 201);
    world.user = bob();
    assert_eq!(world.get("/apis/apps/v1/deployments").code, 200);
    assert_eq!(world.get("/api/v1/secrets").code, 403);
}

#[test]
fn reviews_say_what_a_user_may_do() {
    let mut world = World::new();
    let ask = json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}});
    let got = world.post(&format!("{REVIEWS}/selfsubjectaccessreviews"), &ask);
    assert_eq!((got.code, &got.body["status"]["allowed"]), (201, &json!(true)));
    assert_eq!(got.body["kind"], "SelfSubjectAccessReview");
    let mut other = ask.clone();
    other["spec"]["user"] = json!("bob");
    let got = world.post(&format!("{REVIEWS}/subjectaccessreviews"), &other);
    assert_eq!(got.body["status"]["allowed"], false);
    let got =
        world.post(&format!("{REVIEWS}/selfsubjectrulesreviews"), &json!({"spec": {"namespace": "default"}}));
    assert_eq!(got.body["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    world.user = bob();
    let got = world.post(&format!("{REVIEWS}/selfsubjectaccessreviews"), &ask);
    assert_eq!(got.body["status"]["allowed"], false);
    assert_eq!(world.post(&format!("{REVIEWS}/subjectaccessreviews"), &other).code, 403);
    let got = world.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({}));
    assert_eq!(got.body["status"]["userInfo"], json!({"username": "bob", "groups": ["dev"]}));
}
