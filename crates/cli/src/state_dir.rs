//! The state directory: where everything is, and the files that are neither
//! ledger nor cloud.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use exokit_ledger::export::EXPORT_BYTES_MAX;
use exokit_templates::FILE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Doing as _};

#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    root: PathBuf,
}

/// What the directory remembers. It belongs to one cloud for ever: a ledger
/// that is held against another cloud would take every resource for gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marker {
    /// `sim` or `exoscale`.
    pub(crate) cloud: String,
    /// How fast its embedded cloud runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) speed: Option<String>,
}

impl StateDir {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger.db")
    }

    pub(crate) fn embedded_cloud(&self) -> PathBuf {
        self.root.join("sim-cloud.json")
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        self.root.join("keyring")
    }

    pub(crate) fn root_public(&self) -> PathBuf {
        self.root.join("root.key")
    }

    /// Where the private key of a person, or of the root, is by default.
    pub(crate) fn private_key(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(format!("{name}.pem"))
    }

    /// A login to an image registry.
    pub(crate) fn registry_login(&self, name: &str) -> PathBuf {
        self.root.join("registry-logins").join(format!("{name}.json"))
    }

    /// The bearer tokens of the agent, as digests.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.root.join("tokens.json")
    }

    pub(crate) fn prices(&self) -> PathBuf {
        self.root.join("prices.yaml")
    }

    pub(crate) fn templates(&self) -> PathBuf {
        self.root.join("templates")
    }

    fn marker_path(&self) -> PathBuf {
        self.root.join("state.json")
    }

    pub(crate) fn create(&self) -> Result<(), CliError> {
        make_private(&self.root).doing("making the state directory", self.root.display())
    }

    /// What the directory remembers; none when it is new.
    pub(crate) fn marker(&self) -> Result<Option<Marker>, CliError> {
        let path = self.marker_path();
        let Some(text) = read_optional(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let hint = "use another state directory with --state, or restore the file";
            CliError::unusable("state", "reading", path.display(), error, hint)
        })
    }

    pub(crate) fn remember(&self, marker: &Marker) -> Result<(), CliError> {
        self.create()?;
        let text = serde_json::to_string(marker).map_err(io::Error::other);
        let path = self.marker_path();
        let text = text.doing("writing", path.display())?;
        replace(&path, text.as_bytes())
    }

    /// The directory's own templates, by file name.
    pub(crate) fn template_files(&self) -> Result<Vec<(String, String)>, CliError> {
        let folder = self.templates();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).doing("reading", folder.display()),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.doing("reading", folder.display())?.path();
            let is_yaml = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
            if is_yaml {
                files.push((path.display().to_string(), read(&path)?));
            }
        }
        files.sort();
        Ok(files)
    }
}

/// The text of a file of at most [`FILE_BYTES_MAX`] bytes.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    text(path, FILE_BYTES_MAX).doing("reading", path.display())
}

/// The text of an export of the registry, which may be large.
pub(crate) fn read_export(path: &Path) -> Result<String, CliError> {
    text(path, EXPORT_BYTES_MAX).doing("reading", path.display())
}

/// The text of a file, none when there is no such file.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, CliError> {
    match text(path, FILE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).doing("reading", path.display()),
    }
}

/// Reads no more than is allowed, however long the file is.
fn text(path: &Path, bytes_max: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    match (bytes.len() > bytes_max, String::from_utf8(bytes)) {
        (true, _) => refused(format!("it has more than {bytes_max} bytes")),
        (false, Err(_)) => refused("it is not text in UTF-8".to_owned()),
        (false, Ok(text)) => Ok(text),
    }
}

/// Puts a file in place of another, as a whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let file = written(path, bytes).doing("writing", path.display())?;
    file.persist(path).map(drop).map_err(|error| error.error).doing("writing", path.display())
}

/// Writes a file that only this user can read, unless it exists.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let file = written(path, bytes).doing("writing", path.display())?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error).doing("writing", path.display())
}

fn written(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_private(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes a folder that only this user can read; one that exists stays as it is.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
