//! Secrets in files: private keys under a passphrase, and the engine's root
//! secret.

use std::path::{Path, PathBuf};

use console::Term;
use data_encoding::HEXLOWER_PERMISSIVE;
use exokit_approval::keys::{PublicKey, SecretKey};
use exokit_engine::entropy::{Entropy as _, SystemEntropy};
use exokit_engine::keyring::{Keyring, ROOT_BYTES};
use zeroize::Zeroizing;

use crate::error::{CliError, Doing as _};
use crate::settings::Settings;
use crate::state_dir::{StateDir, read, read_optional, write_new};

/// Shortest passphrase for a new key, in characters.
const PASSPHRASE_CHARS_MIN: usize = 8;

pub(crate) fn random<const N: usize>() -> Result<[u8; N], CliError> {
    let mut bytes = [0; N];
    SystemEntropy
        .fill(&mut bytes)
        .map_err(|error| CliError::new("entropy", "making a random number", "", error, "try again"))?;
    Ok(bytes)
}

/// Makes a private key and writes it, encrypted, to a new file.
pub(crate) fn create(settings: &Settings, path: &Path, whose: &str) -> Result<PublicKey, CliError> {
    if path.exists() {
        let hint = "choose another file, or keep using this key";
        return Err(CliError::new("exists", "making a key in", path.display(), "the file exists", hint));
    }
    let passphrase = new_passphrase(settings, whose)?;
    let key = SecretKey::from_random(random()?);
    let pem = key.to_encrypted_pem(&passphrase, &random()?, random()?).doing("encrypting", "the key")?;
    write_new(path, pem.as_bytes())?;
    Ok(key.public())
}

pub(crate) fn open(settings: &Settings, path: &Path, whose: &str) -> Result<SecretKey, CliError> {
    let pem = read(path).map_err(|error| CliError {
        hint: format!(
            "name the file with the key of {whose}, or make one with `exokit approver {}`",
            if whose == "the root" { "init".to_owned() } else { format!("create-key {whose}") }
        ),
        ..error
    })?;
    let passphrase = passphrase(settings, &format!("Passphrase of the key of {whose}: "))?;
    SecretKey::from_encrypted_pem(&pem, &passphrase).doing("opening the key", path.display())
}

fn new_passphrase(settings: &Settings, whose: &str) -> Result<Zeroizing<String>, CliError> {
    let chosen = passphrase(settings, &format!("New passphrase for the key of {whose}: "))?;
    if settings.passphrase.is_none() && *passphrase(settings, "The same again: ")? != *chosen {
        return Err(CliError::new("passphrase", "reading", "the passphrase", "the two differ", "try again"));
    }
    match chosen.chars().count() < PASSPHRASE_CHARS_MIN {
        true => {
            let why = format!("it has fewer than {PASSPHRASE_CHARS_MIN} characters");
            Err(CliError::unusable("passphrase", "reading", "the passphrase", why, "choose a longer one"))
        }
        false => Ok(chosen),
    }
}

/// The passphrase from the environment, or asked for without echo.
fn passphrase(settings: &Settings, prompt: &str) -> Result<Zeroizing<String>, CliError> {
    if let Some(passphrase) = &settings.passphrase {
        return Ok(passphrase.clone());
    }
    if !settings.output.asks {
        let why = "there is no terminal to ask at";
        let hint = "set EXOKIT_PASSPHRASE for this command";
        return Err(CliError::unusable("passphrase", "reading", "the passphrase", why, hint));
    }
    crate::output::say(prompt);
    Term::stderr().read_secure_line().map(Zeroizing::new).doing("reading", "the passphrase")
}

/// The engine's keys. Made at first use; never made anew beside a ledger that
/// was written under others.
pub(crate) fn keyring(settings: &Settings, state: &StateDir, is_new: bool) -> Result<Keyring, CliError> {
    if let Some(secret) = &settings.root_secret {
        return parse_root(secret, "EXOKIT_ROOT_SECRET");
    }
    let path = state.keyring();
    let stored = || match read_optional(&path)?.map(Zeroizing::new) {
        Some(text) => parse_root(&text, &path.display().to_string()).map(Some),
        None => Ok(None),
    };
    if let Some(keyring) = stored()? {
        return Ok(keyring);
    }
    if !is_new {
        let why = "the file is missing, but the ledger was written under it";
        let hint = "restore the file, or set EXOKIT_ROOT_SECRET to its content";
        return Err(CliError::new("keyring", "opening", path.display(), why, hint));
    }
    let root = Zeroizing::new(random::<ROOT_BYTES>()?);
    let text = Zeroizing::new(format!("{}\n", data_encoding::HEXLOWER.encode(&*root)));
    match write_new(&path, text.as_bytes()) {
        Ok(()) => Ok(Keyring::new(&root)),
        // Another process was faster.
        Err(error) => stored()?.ok_or(error),
    }
}

fn parse_root(text: &str, from: &str) -> Result<Keyring, CliError> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok().map(Zeroizing::new);
    let root: Option<Zeroizing<[u8; ROOT_BYTES]>> =
        bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(Zeroizing::new);
    root.map(|root| Keyring::new(&root)).ok_or_else(|| {
        let why = format!("it is not {} hexadecimal digits", 2 * ROOT_BYTES);
        CliError::unusable(
            "keyring",
            "reading",
            from,
            why,
            "restore the secret that the ledger was written under",
        )
    })
}

/// The public half of the root key: that of a file, or else the pinned one.
pub(crate) fn root(settings: &Settings, file: Option<&PathBuf>) -> Result<Option<PublicKey>, CliError> {
    match (file, &settings.workspace) {
        (Some(path), _) => {
            let key = PublicKey::parse(read(path)?.trim());
            key.map(Some).doing("reading the root key", path.display())
        }
        (None, Ok(workspace)) => pinned_root(&workspace.state),
        (None, Err(_)) => Ok(None),
    }
}

/// The pinned public half of the root key.
pub(crate) fn pinned_root(state: &StateDir) -> Result<Option<PublicKey>, CliError> {
    let path = state.root_public();
    let Some(text) = read_optional(&path)? else { return Ok(None) };
    PublicKey::parse(text.trim()).map(Some).doing("reading the pinned root key", path.display())
}

/// Where the private root key is.
pub(crate) fn root_key(flag: Option<&PathBuf>, state: &StateDir) -> PathBuf {
    flag.cloned().unwrap_or_else(|| state.private_key("root"))
}
