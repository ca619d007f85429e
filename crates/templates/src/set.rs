//! All templates that a program knows: the seven that come with it, and those
//! of a directory.

use std::collections::BTreeMap;

use exokit_model::candidate::Candidate;
use exokit_model::ids::TemplateId;

use crate::error::{DecodeError, nearest};
use crate::template::Template;

/// The templates that come with the program.
const EMBEDDED: [(&str, &str); 7] = [
    ("templates/T1-minimal-test.yaml", include_str!("../../../templates/T1-minimal-test.yaml")),
    ("templates/T2-orchestrator.yaml", include_str!("../../../templates/T2-orchestrator.yaml")),
    ("templates/T3-persistent-store.yaml", include_str!("../../../templates/T3-persistent-store.yaml")),
    ("templates/T4-compute-heavy.yaml", include_str!("../../../templates/T4-compute-heavy.yaml")),
    ("templates/T5-security-hardened.yaml", include_str!("../../../templates/T5-security-hardened.yaml")),
    ("templates/T6-observability.yaml", include_str!("../../../templates/T6-observability.yaml")),
    (
        "templates/T7-full-stack-integration.yaml",
        include_str!("../../../templates/T7-full-stack-integration.yaml"),
    ),
];

/// Templates by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSet {
    templates: BTreeMap<TemplateId, Template>,
}

/// Why templates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A file was refused.
    #[error("reading a template: {0}")]
    Decode(#[from] DecodeError),
    /// Two files of one directory describe one template.
    #[error("{first} and {second} both describe template {id}")]
    Duplicate {
        /// The template.
        id: TemplateId,
        /// The first file.
        first: String,
        /// The second file.
        second: String,
    },
    /// There is no such template.
    #[error("there is no template {wanted:?}")]
    Unknown {
        /// The text that was asked for.
        wanted: String,
        /// The templates that there are.
        hint: String,
    },
}

impl TemplateError {
    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Decode(error) => error.hint().to_owned(),
            Self::Duplicate { .. } => "give one of them another id, or remove it".to_owned(),
            Self::Unknown { hint, .. } => hint.clone(),
        }
    }
}

impl TemplateSet {
    /// The seven templates that come with the program.
    ///
    /// # Errors
    /// Never in a program whose tests pass.
    pub fn embedded() -> Result<Self, TemplateError> {
        let mut set = Self::default();
        set.add(EMBEDDED)?;
        Ok(set)
    }

    /// The embedded templates, with those of a directory in place of the ones
    /// with the same id, or added.
    ///
    /// # Errors
    /// When a file is refused, or two of them describe one template.
    pub fn with_overrides(
        files: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Result<Self, TemplateError> {
        let mut set = Self::embedded()?;
        set.add(files)?;
        Ok(set)
    }

    /// Adds files that must describe different templates.
    fn add(
        &mut self,
        files: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Result<(), TemplateError> {
        let mut added: BTreeMap<TemplateId, String> = BTreeMap::new();
        for (file, text) in files {
            let second = file.as_ref().to_owned();
            let template = Template::decode(&second, text.as_ref())?;
            let id = template.id;
            if let Some(first) = added.insert(id, second.clone()) {
                return Err(TemplateError::Duplicate { id, first, second });
            }
            self.templates.insert(id, template);
        }
        Ok(())
    }

    /// The template with this id, if there is one.
    #[must_use]
    pub fn get(&self, id: TemplateId) -> Option<&Template> {
        self.templates.get(&id)
    }

    /// The template that a person names: `T3`, `t3`, `persistent-store` or
    /// `T3-persistent-store`.
    ///
    /// # Errors
    /// When there is none, with the nearest that there is.
    pub fn find(&self, wanted: &str) -> Result<&Template, TemplateError> {
        let lower = wanted.to_ascii_lowercase();
        self.iter()
            .find(|template| {
                lower == template.id.to_string().to_ascii_lowercase()
                    || lower == template.name
                    || lower == template.label().to_ascii_lowercase()
            })
            .ok_or_else(|| self.unknown(wanted))
    }

    fn unknown(&self, wanted: &str) -> TemplateError {
        let labels: Vec<String> = self.iter().map(Template::label).collect();
        let names = self.iter().map(|template| template.name.as_str());
        let near = match wanted.len() {
            // A short text is a mistyped id, about which nothing is known.
            0..=3 => None,
            _ => nearest(wanted, names.chain(labels.iter().map(String::as_str))),
        };
        let ids: Vec<String> = self.templates.keys().map(TemplateId::to_string).collect();
        let hint = match near {
            Some(near) => format!("did you mean {near}? known: {}", ids.join(", ")),
            None => format!("use one of {}", labels.join(", ")),
        };
        TemplateError::Unknown { wanted: wanted.chars().take(80).collect(), hint }
    }

    /// All templates, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Template> {
        self.templates.values()
    }

    /// All templates as the selector sees them, by id.
    #[must_use]
    pub fn candidates(&self) -> Vec<Candidate> {
        self.iter().map(Template::candidate).collect()
    }
}
