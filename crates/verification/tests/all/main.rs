//! The checks against the published table, and against single pieces of evidence.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground is missing")]

mod evidence;
mod table;

use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::TemplateId;
use exokit_model::spec::EnvironmentSpec;
use exokit_templates::TemplateSet;

/// The description that a template gives by itself, and its approval level.
fn shipped(template: u16) -> (EnvironmentSpec, ApprovalLevel) {
    let set = TemplateSet::embedded().unwrap();
    let template = set.get(TemplateId(template)).unwrap();
    (template.defaults().clone(), template.level)
}
