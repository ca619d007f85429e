//! Create, update, patch and apply.

use super::body::{self, Answer};
use super::call::Call;
use super::route::Target;
use super::{options, patch, prepare, strategic, validation};
use crate::apply::{self, Writer};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::{Cause, Refusal};
use crate::schema::check::{Problem, find_problems, prune};
use crate::schema::{Schema, of_version};
use crate::value::{at, is_deleting, items, name, object, remove, set, text, uid};
use serde_json::{Value, json};
use std::sync::Arc;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
/// How far the address of a dry run is from the next one that is given.
const DRY_RUN_OFFSET: u32 = 0x8000;
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
        options::check_write(call, "CreateOptions")?;
        let info = target.kind.info();
        check_envelope(target, &mut object)?;
        if name(&object).is_empty() && !text(&object, "metadata.generateName").is_empty() {
            let generated = format!("{}{}", text(&object, "metadata.generateName"), self.rng.suffix());
            set(&mut object, "metadata.name", generated);
        }
        let key = crate::store::key(target.namespace.as_deref().unwrap_or_default(), name(&object));
        let warnings = self.decode(call, target.kind, &mut object)?;
        self.check_namespace(target, &object)?;
        if !text(&object, "metadata.resourceVersion").is_empty() {
            return Err(Refusal::internal("resourceVersion should not be set on objects to be created"));
        }
        if self.store.contains(target.kind, &key) && !name(&object).is_empty() {
            return Err(Refusal::already_exists(info, name(&object)));
        }
        prepare::clear_metadata(&mut object);
        self.finish_create(call, target, object, warnings, false)
    }

    /// Defaults, managers, admission, validation and the write itself, in the
    /// order of the real server: what admission and storage add belongs to no
    /// manager.
    fn finish_create(
        &mut self,
        call: &Call<'_>,
        target: &Target,
        mut object: Value,
        mut warnings: Vec<String>,
        is_applied: bool,
    ) -> Result<Answer, Refusal> {
        let kind = target.kind;
        prepare::before_track(kind, &mut object);
        crate::defaults::apply(kind, &mut object);
        if !is_applied {
            let writer = self.writer(call, target);
            apply::track_update(self.schema(), kind, None, &mut object, &writer);
        }
        prepare::before_create(self, kind, &mut object);
        self.admit_mutation(kind, &mut object)?;
        // A dry run reserves nothing, and shows an address that none will get soon.
        let reserved = (self.addresses.clone(), self.rng.clone());
        if call.query.is_dry_run() {
            self.addresses.services = self.addresses.services.wrapping_add(DRY_RUN_OFFSET);
        }
        self.allocate(kind, None, &mut object)?;
        if call.query.is_dry_run() {
            (self.addresses, self.rng) = reserved;
        }
        validation::check(self.schema(), kind, None, &object)?;
        warnings.extend(self.admit_creation(kind, &mut object)?);
        prepare::as_stored(kind, &mut object);
        if call.query.is_dry_run() {
            let object = self.new_object(kind, object);
            return Ok(Answer::object(201, object).with_warnings(warnings));
        }
        let created = self.create_object(kind, object);
        Ok(Answer::object(201, created).with_warnings(warnings))
    }

    fn update(&mut self, call: &Call<'_>, target: &Target, mut object: Value) -> Result<Answer, Refusal> {
        options::check_write(call, "UpdateOptions")?;
        let info = target.kind.info();
        check_envelope(target, &mut object)?;
        let warnings = self.decode(call, target.kind, &mut object)?;
        if name(&object) != target.name() {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                name(&object),
                target.name()
            );
            return Err(Refusal::bad_request(message));
        }
        match self.store.get(target.kind, &target.key()).cloned() {
            Some(old) => self.finish_update(call, target, &old, object, warnings, false),
            None if target.kind.may_update_create() && target.subresource.is_none() => {
                self.check_namespace(target, &object)?;
                prepare::clear_metadata(&mut object);
                self.finish_create(call, target, object, warnings, false)
            }
            None => Err(Refusal::not_found(info, target.name())),
        }
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
            return Err(Refusal::conflict(info, name(old), &wrong_uid(target, uid(&new), uid(old))));
        }
        prepare::before_update(kind, old, &mut new, target.subresource.as_deref(), is_applied);
        if target.subresource.as_deref() != Some("status") {
            crate::defaults::apply(kind, &mut new);
        }
        if items(&new, "metadata.managedFields") == [json!({})] {
            // So a client makes the server forget who manages what.
            remove(&mut new, "metadata.managedFields");
        } else if !is_applied {
            let writer = self.writer(call, target);
            apply::track_update(self.schema(), kind, Some(old), &mut new, &writer);
        }
        if target.subresource.as_deref() != Some("status") {
            self.allocate(kind, Some(old), &mut new)?;
            validation::check(self.schema(), kind, Some(old), &new)?;
            warnings.extend(self.admit_update(kind, old, &new)?);
        }
        prepare::as_stored(kind, &mut new);
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
            return Err(Refusal::unsupported_patch_type());
        }
        options::check_write(call, "PatchOptions")?;
        if content_type == APPLY {
            return self.apply(call, target);
        }
        let changes = body::patch(call.request.body())?;
        if content_type != JSON && !changes.is_object() {
            let message = "error decoding patch: json: cannot unmarshal array into Go value of type \
                           map[string]interface {}";
            return Err(Refusal::bad_request(message));
        }
        let info = target.kind.info();
        let old = self.store.get(target.kind, &target.key()).cloned();
        let old = old.ok_or_else(|| Refusal::not_found(info, target.name()))?;
        let mut new = Value::clone(&old);
        match content_type.as_str() {
            JSON => patch::json_patch(&mut new, &changes)?,
            MERGE => patch::merge(&mut new, &changes),
            _ => strategic::merge(self.schema(), &self.schema().named(info.name), &mut new, &changes),
        }
        let patched = new.clone();
        let warnings = self
            .decode_problems(call, target.kind, &mut new)
            .map_err(|why| Refusal::undecodable_patch(&patched, &why))?;
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
        let mut applied = read_applied(call)?;
        if call.query.get("fieldManager").is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Refusal::invalid_options("PatchOptions", &cause));
        }
        if !at(&applied, "metadata.managedFields").is_null() {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        let shown = check_applied_envelope(target, &mut applied)?;
        let old = self.store.get(kind, &target.key()).cloned();
        let problems = find_problems(self.schema(), kind, &mut applied);
        let duplicate = apply::duplicate(self.schema(), &self.schema().named(info.name), &applied);
        let problem = problems.first().map(|problem| typed_texts(&problems, problem)).or(duplicate);
        if let Some(problem) = problem {
            let message = format!("failed to create typed patch object ({shown}): {problem}");
            return Err(Refusal::internal(message));
        }
        let version = text(&applied, "metadata.resourceVersion").to_owned();
        if let Some(old) = &old
            && !version.is_empty()
            && version != text(old, "metadata.resourceVersion")
        {
            return Err(Refusal::stale(info, name(old)));
        }
        if old.as_ref().is_some_and(|old| !uid(&applied).is_empty() && uid(&applied) != uid(old)) {
            let why = Cause::invalid("metadata.uid", at(&applied, "metadata.uid"), "field is immutable");
            return Err(Refusal::invalid(info, target.name(), &[why]));
        }
        if target.subresource.as_deref() != Some("status") {
            object(&mut applied).remove("status");
        }
        let writer = self.writer(call, target);
        let force = call.query.flag("force");
        let mut merged = apply::apply(self.schema(), kind, old.as_deref(), &applied, &writer, force)?;
        if let Some(merged) = &mut merged {
            // An empty field that was applied belongs to its manager and is not stored.
            prune(self.schema(), kind, merged);
        }
        match (old, merged) {
            (Some(old), Some(merged)) => self.finish_update(call, target, &old, merged, Vec::new(), true),
            (Some(old), None) => {
                let warnings = self.admit_update(kind, &old, &old)?;
                Ok(Answer::object(200, old).with_warnings(warnings))
            }
            (None, _) if target.subresource.is_some() => Err(Refusal::not_found(info, target.name())),
            (None, merged) => {
                let merged = merged.unwrap_or_default();
                if !uid(&merged).is_empty() {
                    let why =
                        Cause::invalid("metadata.uid", at(&merged, "metadata.uid"), "field is immutable");
                    return Err(Refusal::invalid(info, target.name(), &[why]));
                }
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
        self.decode_problems(call, kind, object).map_err(|why| {
            let prefix =
                format!("{} in version \"{}\" cannot be handled as a {}", info.name, info.version, info.name);
            Refusal::bad_request(format!("{prefix}: {why}"))
        })
    }

    /// As [`Self::decode`], with what is wrong as a text.
    fn decode_problems(
        &self,
        call: &Call<'_>,
        kind: Kind,
        object: &mut Value,
    ) -> Result<Vec<String>, String> {
        let problems = prune(self.schema(), kind, object);
        if let Some(problem) = problems.iter().find(|problem| !problem.is_unknown_field()) {
            return Err(problem.decode_text());
        }
        let texts: Vec<String> = problems.iter().map(Problem::strict_text).collect();
        match call.query.get("fieldValidation") {
            Some("Strict") if !texts.is_empty() => {
                Err(format!("strict decoding error: {}", texts.join(", ")))
            }
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

/// The body of a server-side apply. It is YAML; clients send JSON.
fn read_applied(call: &Call<'_>) -> Result<Value, Refusal> {
    let applied: Value = serde_json::from_slice(call.request.body())
        .map_err(|error| Refusal::bad_request(format!("error decoding YAML: {error}")))?;
    if applied.is_object() {
        return Ok(applied);
    }
    let message = "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array \
                   into Go value of type map[string]interface {}";
    Err(Refusal::bad_request(message))
}

/// Checks an applied body against the path and fills in what it leaves out.
/// Gives namespace, name, version and kind as messages show them.
fn check_applied_envelope(target: &Target, body: &mut Value) -> Result<String, Refusal> {
    let info = target.kind.info();
    let (group_version, kind) = (text(body, "apiVersion"), text(body, "kind"));
    let type_of = |group_version: &str, kind: &str| match group_version.contains('/') {
        true => format!("{group_version}, Kind={kind}"),
        false => format!("/{group_version}, Kind={kind}"),
    };
    let shown_type = type_of(&info.api_version(), info.name);
    let is_other = !group_version.is_empty() && group_version != info.api_version();
    if is_other || (!kind.is_empty() && kind != info.name) {
        return Err(Refusal::bad_request(format!("invalid object type: {}", type_of(group_version, kind))));
    }
    let stated = name(body);
    if !stated.is_empty() && stated != target.name() {
        let message = format!(
            "the name of the object ({stated}) does not match the name on the URL ({})",
            target.name()
        );
        return Err(Refusal::bad_request(message));
    }
    let shown = format!("{}/{}; {shown_type}", text(body, "metadata.namespace"), target.name());
    check_envelope(target, body)?;
    set(body, "metadata.name", target.name());
    Ok(shown)
}

/// As the real server words a UID that is not that of the stored object.
fn wrong_uid(target: &Target, wanted: &str, own: &str) -> String {
    let space = target.namespace.as_deref().map(|space| format!("{space}/")).unwrap_or_default();
    format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{space}{}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {own}",
        target.kind.info().plural,
        target.name()
    )
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
            "{0} in version \"{1}\" cannot be handled as a {0}: no kind \"{0}\" is registered for version \
             \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\"",
            info.name, info.version
        );
        return Err(Refusal::bad_request(message));
    }
    if !kind.is_empty() && kind != info.name {
        let message = format!(
            "{kind} in version \"{}\" cannot be handled as a {}: converting (v1.{kind}) to (core.{}): unknown conversion",
            info.version, info.name, info.name
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
