//! Create, update, patch and apply.

use super::body::{self, Answer};
use super::call::Call;
use super::route::Target;
use super::{patch, prepare, strategic, validation};
use crate::apply::{self, Writer};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::{Cause, Refusal};
use crate::schema::check::{Problem, prune};
use crate::schema::{Schema, of_version};
use crate::value::{at, is_deleting, name, object, set, text, uid};
use serde_json::{Value, json};
use std::sync::Arc;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const PATCHES: [&str; 4] = [JSON, MERGE, STRATEGIC, APPLY];

impl Cluster {
    /// Answers a request that creates or changes an object.
    pub(crate) fn write(&mut self, call: &Call<'_>, target: &Target, verb: &str) -> Result<Answer, Refusal> {
        match verb {
            "create" => {
                let object = body::read(call, self.schema(), target.kind.info().name)?;
                self.create(call, target, object)
            }
            "update" => {
                let object = body::read(call, self.schema(), target.kind.info().name)?;
                self.update(call, target, object)
            }
            _ => self.patch(call, target),
        }
    }

    pub(crate) fn schema(&self) -> &'static Schema {
        of_version(&self.settings.version)
    }

    fn create(&mut self, call: &Call<'_>, target: &Target, mut object: Value) -> Result<Answer, Refusal> {
        let info = target.kind.info();
        check_envelope(target, &mut object)?;
        if name(&object).is_empty() && !text(&object, "metadata.generateName").is_empty() {
            let generated = format!("{}{}", text(&object, "metadata.generateName"), self.rng.suffix());
            set(&mut object, "metadata.name", generated);
        }
        if !text(&object, "metadata.resourceVersion").is_empty() {
            return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let key = crate::store::key(target.namespace.as_deref().unwrap_or_default(), name(&object));
        let warnings = self.decode(call, target.kind, &mut object)?;
        self.check_namespace(target, &object)?;
        if self.store.contains(target.kind, &key) && !name(&object).is_empty() {
            return Err(Refusal::already_exists(info, name(&object)));
        }
        prepare::clear_metadata(&mut object);
        self.finish_create(call, target, object, warnings, false)
    }

    /// Defaults, validation, admission and the write itself.
    fn finish_create(
        &mut self,
        call: &Call<'_>,
        target: &Target,
        mut object: Value,
        mut warnings: Vec<String>,
        is_applied: bool,
    ) -> Result<Answer, Refusal> {
        let kind = target.kind;
        prepare::before_create(self, kind, &mut object);
        crate::defaults::apply(kind, &mut object);
        self.allocate(kind, None, &mut object)?;
        validation::check(self.schema(), kind, None, &object)?;
        warnings.extend(self.admit_creation(kind, &mut object)?);
        if !is_applied {
            let writer = self.writer(call, target);
            apply::track_update(self.schema(), kind, None, &mut object, &writer);
        }
        if call.query.is_dry_run() {
            set(&mut object, "apiVersion", kind.info().api_version());
            set(&mut object, "kind", kind.info().name);
            return Ok(Answer::object(201, object).with_warnings(warnings));
        }
        let created = self.create_object(kind, object);
        Ok(Answer::object(201, created).with_warnings(warnings))
    }

    fn update(&mut self, call: &Call<'_>, target: &Target, mut object: Value) -> Result<Answer, Refusal> {
        let info = target.kind.info();
        check_envelope(target, &mut object)?;
        let warnings = self.decode(call, target.kind, &mut object)?;
        let old = self.store.get(target.kind, &target.key()).cloned();
        let old = old.ok_or_else(|| Refusal::not_found(info, target.name()))?;
        if name(&object) != target.name() {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                name(&object),
                target.name()
            );
            return Err(Refusal::bad_request(message));
        }
        self.finish_update(call, target, &old, object, warnings, false)
    }

    /// Checks, defaults, validation, admission and the write itself.
    fn finish_update(
        &mut self,
        call: &Call<'_>,
        target: &Target,
        old: &Arc<Value>,
        mut new: Value,
        mut warnings: Vec<String>,
        is_applied: bool,
    ) -> Result<Answer, Refusal> {
        let kind = target.kind;
        let info = kind.info();
        let version = text(&new, "metadata.resourceVersion");
        if !version.is_empty() && version != text(old, "metadata.resourceVersion") {
            return Err(Refusal::stale(info, name(old)));
        }
        if !uid(&new).is_empty() && uid(&new) != uid(old) {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                uid(&new),
                uid(old)
            );
            return Err(Refusal::conflict(info, name(old), &why));
        }
        prepare::before_update(kind, old, &mut new, target.subresource.as_deref());
        if target.subresource.as_deref() != Some("status") {
            crate::defaults::apply(kind, &mut new);
            self.allocate(kind, Some(old), &mut new)?;
            validation::check(self.schema(), kind, Some(old), &new)?;
            warnings.extend(self.admit_update(kind, old, &new)?);
        }
        if !is_applied {
            let writer = self.writer(call, target);
            apply::track_update(self.schema(), kind, Some(old), &mut new, &writer);
        }
        if call.query.is_dry_run() {
            return Ok(Answer::object(200, new).with_warnings(warnings));
        }
        let stored = self.replace_object(kind, old, new);
        Ok(Answer::object(200, stored).with_warnings(warnings))
    }

    fn patch(&mut self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        let content_type =
            call.header("content-type").split(';').next().unwrap_or_default().trim().to_owned();
        if !PATCHES.contains(&content_type.as_str()) {
            return Err(Refusal::unsupported_media_type(&PATCHES.join(", ")));
        }
        if content_type == APPLY {
            return self.apply(call, target);
        }
        let changes = body::parse(call.request.body())?;
        let info = target.kind.info();
        let old = self.store.get(target.kind, &target.key()).cloned();
        let old = old.ok_or_else(|| Refusal::not_found(info, target.name()))?;
        let mut new = Value::clone(&old);
        match content_type.as_str() {
            JSON => patch::json_patch(&mut new, &changes)?,
            MERGE => patch::merge(&mut new, &changes),
            _ => strategic::merge(self.schema(), &self.schema().named(info.name), &mut new, &changes),
        }
        let warnings = self.decode(call, target.kind, &mut new)?;
        if name(&new) != name(&old) {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                name(&new),
                target.name()
            );
            return Err(Refusal::bad_request(message));
        }
        self.finish_update(call, target, &old, new, warnings, false)
    }

    fn apply(&mut self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        let kind = target.kind;
        let info = kind.info();
        let mut applied: Value = serde_json::from_slice(call.request.body())
            .map_err(|error| Refusal::bad_request(format!("error decoding YAML: {error}")))?;
        if call.query.get("fieldManager").is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Refusal::invalid_options("PatchOptions", &cause));
        }
        if !at(&applied, "metadata.managedFields").is_null() {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        check_envelope(target, &mut applied)?;
        if name(&applied).is_empty() {
            set(&mut applied, "metadata.name", target.name());
        }
        let old = self.store.get(kind, &target.key()).cloned();
        let problems = prune(self.schema(), kind, &mut applied);
        let duplicate = apply::duplicate(self.schema(), &self.schema().named(info.name), &applied);
        let problem = problems.first().map(|problem| typed_texts(&problems, problem)).or(duplicate);
        if let Some(problem) = problem {
            let (space, api_version) = (target.namespace.as_deref().unwrap_or_default(), info.api_version());
            let message = format!(
                "failed to create typed patch object ({space}/{}; {api_version}, Kind={}): {}",
                target.name(),
                info.name,
                problem
            );
            return Err(Refusal::internal(message));
        }
        if name(&applied) != target.name() {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                name(&applied),
                target.name()
            );
            return Err(Refusal::bad_request(message));
        }
        let version = text(&applied, "metadata.resourceVersion").to_owned();
        if let Some(old) = &old
            && !version.is_empty()
            && version != text(old, "metadata.resourceVersion")
        {
            return Err(Refusal::stale(info, name(old)));
        }
        if target.subresource.as_deref() != Some("status") {
            object(&mut applied).remove("status");
        }
        let writer = self.writer(call, target);
        let force = call.query.flag("force");
        let merged = apply::apply(self.schema(), kind, old.as_deref(), &applied, &writer, force)?;
        match (old, merged) {
            (Some(old), Some(merged)) => self.finish_update(call, target, &old, merged, Vec::new(), true),
            (Some(old), None) => {
                let warnings = self.admit_update(kind, &old, &old)?;
                Ok(Answer::object(200, old).with_warnings(warnings))
            }
            (None, _) if target.subresource.is_some() => Err(Refusal::not_found(info, target.name())),
            (None, merged) => {
                let merged = merged.unwrap_or_default();
                self.check_namespace(target, &merged)?;
                self.finish_create(call, target, merged, Vec::new(), true)
            }
        }
    }

    /// Checks a body against the types: drops unknown fields with a warning, or
    /// refuses them if the request says so; refuses wrong types.
    pub(crate) fn decode(
        &self,
        call: &Call<'_>,
        kind: Kind,
        object: &mut Value,
    ) -> Result<Vec<String>, Refusal> {
        let info = kind.info();
        let problems = prune(self.schema(), kind, object);
        let prefix =
            || format!("{} in version \"{}\" cannot be handled as a {}", info.name, info.version, info.name);
        if let Some(problem) = problems.iter().find(|problem| !problem.is_unknown_field()) {
            return Err(Refusal::bad_request(format!("{}: {}", prefix(), problem.decode_text())));
        }
        let texts: Vec<String> = problems.iter().map(Problem::strict_text).collect();
        match call.query.get("fieldValidation") {
            Some("Strict") if !texts.is_empty() => Err(Refusal::bad_request(format!(
                "{}: strict decoding error: {}",
                prefix(),
                texts.join(", ")
            ))),
            Some("Ignore") => Ok(Vec::new()),
            _ => Ok(texts),
        }
    }

    /// Refuses creations in a namespace that is missing or going.
    pub(crate) fn check_namespace(&self, target: &Target, object: &Value) -> Result<(), Refusal> {
        let Some(space) = target.namespace.as_deref().filter(|_| target.kind.info().namespaced) else {
            return Ok(());
        };
        match self.store.get(Kind::Namespace, space) {
            None => Err(Refusal::not_found(Kind::Namespace.info(), space)),
            Some(namespace) if is_deleting(namespace) => {
                Err(Refusal::terminating(target.kind.info(), name(object), space))
            }
            Some(_) => Ok(()),
        }
    }

    /// Who writes, for `managedFields`.
    pub(crate) fn writer(&self, call: &Call<'_>, target: &Target) -> Writer {
        let agent = call.header("user-agent").split('/').next().unwrap_or_default();
        let manager =
            call.query.get("fieldManager").unwrap_or(if agent.is_empty() { "unknown" } else { agent });
        Writer {
            manager: manager.chars().take(128).collect(),
            subresource: target.subresource.clone().unwrap_or_default(),
            api_version: target.kind.info().api_version(),
            now: self.now,
        }
    }
}

fn typed_texts(problems: &[Problem], first: &Problem) -> String {
    if problems.len() == 1 {
        return first.typed_text();
    }
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {}", problem.typed_text())).collect();
    format!("errors:\n{}", lines.join("\n"))
}

/// Checks kind, version and namespace of a body against the path, and fills
/// them in.
fn check_envelope(target: &Target, body: &mut Value) -> Result<(), Refusal> {
    let info = target.kind.info();
    if !body.is_object() {
        return Err(Refusal::bad_request("the object provided is unrecognized (must be of type Object)"));
    }
    let (api_version, kind) = (text(body, "apiVersion").to_owned(), text(body, "kind").to_owned());
    if !api_version.is_empty() && api_version != info.api_version() {
        let message = format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            info.api_version()
        );
        return Err(Refusal::bad_request(message));
    }
    if !kind.is_empty() && kind != info.name {
        let message = format!(
            "{kind} in version \"{}\" cannot be handled as a {}: no kind \"{kind}\" is registered for this path",
            info.version, info.name
        );
        return Err(Refusal::bad_request(message));
    }
    set(body, "apiVersion", info.api_version());
    set(body, "kind", info.name);
    if !body.get("metadata").is_some_and(Value::is_object) {
        set(body, "metadata", json!({}));
    }
    let space = target.namespace.as_deref().unwrap_or_default();
    let stated = text(body, "metadata.namespace");
    if !stated.is_empty() && stated != space {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(message));
    }
    if !space.is_empty() {
        set(body, "metadata.namespace", space);
    }
    if info.namespaced && space.is_empty() {
        return Err(Refusal::bad_request("namespace: an empty namespace may not be set during creation"));
    }
    Ok(())
}
