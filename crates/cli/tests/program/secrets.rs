//! Secrets that are easy to recognise go in wherever secrets go in, and are
//! looked for wherever the program writes: outputs and the whole trace log of
//! a full life, errors that are provoked, the ledger, exports, arguments of
//! processes, the server's log.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::canary::Hunt;
use crate::common::served::Served;
use crate::common::{EXOKIT, Ended, Place};
use exokit_approval::keys::SecretKey;
use exokit_ledger::SqliteLedger;
use exokit_sim::{Config, SharedWorld};
use serde_json::Value;
use tempfile::TempDir;

/// Commands that only look, each run for people and for programs.
const LOOKS: [&[&str]; 11] = [
    &["list", "--all"],
    &["show", "store"],
    &["drift", "store"],
    &["history", "store"],
    &["history"],
    &["orphans"],
    &["doctor"],
    &["audit", "verify"],
    &["approver", "list"],
    &["registry", "export"],
    &["plan", "T4"],
];

/// Variables of one run that differ from those of the others.
type Change<'a> = &'a [(&'a str, &'a str)];

/// A random text that looks different in every encoding.
fn secret(rng: &mut fastrand::Rng, what: &str) -> String {
    let random: String = std::iter::repeat_with(|| rng.alphanumeric()).take(24).collect();
    format!("canary/{what}+{random}==")
}

/// A place whose processes are watched.
struct Watched {
    place: Place,
    /// Variables that every process gets.
    variables: Vec<(String, String)>,
    /// Where the simulated cloud is saved.
    cloud: PathBuf,
    /// Keys of the cloud whose secrets are looked for.
    known: BTreeSet<String>,
    hunt: Hunt,
    folder: TempDir,
}

impl Watched {
    fn new(place: Place, cloud: PathBuf) -> Self {
        let (known, hunt, folder) = (BTreeSet::new(), Hunt::default(), tempfile::tempdir().unwrap());
        let mut watched = Self { place, variables: Vec::new(), cloud, known, hunt, folder };
        watched.set("EXOKIT_LOG", "trace");
        watched
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs the program, with changes of its variables, and keeps what it
    /// writes and with which arguments it and its children run.
    fn run(&mut self, change: &[(&str, &str)], args: &[&str]) -> Ended {
        let ended = self.run_apart(change, args);
        self.hunt.sink(&format!("stdout of {}", args.join(" ")), &ended.out);
        ended
    }

    /// The same without what it prints: it is meant to hold secrets.
    fn run_apart(&mut self, change: &[(&str, &str)], args: &[&str]) -> Ended {
        let mut command = self.place.command(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(change.iter().copied());
        let (out, err) = (self.folder.path().join("out"), self.folder.path().join("err"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        let status = loop {
            self.arguments(child.id());
            self.learn();
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None => pause(),
            }
        };
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let ended = Ended { code: status.code().unwrap(), out: text(&out), err: text(&err) };
        self.hunt.sink(&format!("stderr of {}", args.join(" ")), &ended.err);
        assert!(!ended.err.contains("panicked at"), "{}", ended.err);
        ended
    }

    #[track_caller]
    fn expect(&mut self, code: i32, args: &[&str]) {
        let ended = self.run(&[], args);
        assert_eq!(ended.code, code, "exokit {}\n{}\n{}", args.join(" "), ended.out, ended.err);
    }

    /// Arguments of a process and its children, as everybody on this host can
    /// read them. A process that has just ended has none.
    fn arguments(&mut self, process: u32) {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let own = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        self.hunt.sink("arguments of processes", own);
        let children = std::fs::read_to_string(folder.join(format!("task/{process}/children")));
        for child in children.unwrap_or_default().split_whitespace() {
            self.arguments(child.parse().unwrap());
        }
    }

    /// Looks for the secrets of API keys that the cloud has made meanwhile.
    fn learn(&mut self) {
        let Ok(text) = std::fs::read(&self.cloud) else { return };
        let world: Value = serde_json::from_slice(&text).unwrap();
        for (key, record) in world["keys"].as_object().unwrap() {
            if self.known.insert(key.clone()) {
                self.hunt.plant(&format!("the secret of {key}"), record["secret"].as_str().unwrap());
            }
        }
    }

    /// A full life of an environment with a bucket and a key to it.
    fn live(&mut self) {
        self.expect(3, &["up", "T3", "--name", "store"]);
        self.expect(0, &["approve", "store", "--as", "alex", "--yes", "-o", "json"]);
        self.expect(0, &["watch", "store", "--once"]);
        self.hand_out();
        for look in LOOKS {
            self.expect(0, look);
            self.expect(0, &[look, &["-o", "json"]].concat());
        }
        let export = self.place.path("export.json").display().to_string();
        self.expect(0, &["registry", "export", "--out", &export]);
        self.expect(3, &["down", "store", "-o", "json"]);
        self.expect(0, &["approve", "store", "--as", "alex", "--yes"]);
        self.expect(0, &["approve", "store", "--as", "kim", "--yes"]);
        self.expect(0, &["watch", "store", "--once", "-o", "json"]);
        self.expect(0, &["history", "store", "-o", "yaml"]);
    }

    /// Looks for the secrets that are handed out on demand everywhere else.
    fn hand_out(&mut self) {
        let mut printed = |args: &[&str]| {
            let ended = self.run_apart(&[], args);
            assert_eq!(ended.code, 0, "exokit {}\n{}", args.join(" "), ended.err);
            ended.out
        };
        let secrets: Value = serde_json::from_str(&printed(&["secrets", "store", "-o", "json"])).unwrap();
        let all = printed(&["secrets", "store"]);
        let kubeconfig = printed(&["kubeconfig", "store"]);
        let credential = printed(&["kubeconfig", "store", "--credential"]);
        let secret_ones: Vec<(&String, &str)> = secrets["secrets"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "access-key" | "database-user"))
            .map(|(name, value)| (name, value.as_str().unwrap()))
            .collect();
        assert!(secret_ones.len() >= 3, "{secret_ones:?}");
        for (name, value) in secret_ones {
            assert!(all.contains(value), "{name}");
            self.hunt.plant(name, value);
        }
        let encoded = kubeconfig.split("client-key-data:").nth(1).unwrap().split_whitespace().next().unwrap();
        let pem = data_encoding::BASE64.decode(encoded.trim_matches('"').as_bytes()).unwrap();
        self.hunt.plant("the key of a kubeconfig", pem);
        let credential: Value = serde_json::from_str(&credential).unwrap();
        self.hunt.plant("the key of a credential", credential["status"]["clientKeyData"].as_str().unwrap());
        // Also those that the program makes for itself, and those in other forms.
        self.hunt.plant("a private key", "PRIVATE KEY-----");
    }

    /// Nothing was found, and there was something to find it in.
    fn judge(&self, seen: &[&str]) {
        let (sinks, bytes) = self.hunt.size();
        println!("{} secrets, {sinks} sinks, {bytes} bytes", self.hunt.canaries.len());
        assert_eq!(self.hunt.found(), Vec::<String>::new());
        for text in seen {
            assert!(self.hunt.holds(text), "no sink has {text}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "another process is looked at, without a busy loop")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

#[test]
fn no_secret_gets_out_on_the_way_to_exoscale() {
    let mut rng = fastrand::Rng::new();
    let cloud = tempfile::tempdir().unwrap();
    let file = cloud.path().join("cloud.json");
    let api_secret = secret(&mut rng, "api");
    let config = Config { api_secret: api_secret.clone(), ..Config::default() };
    drop(SharedWorld::in_file(&file, config, Arc::new(|| 0)).unwrap());
    // The first reply with a one-time secret is cut in its middle.
    let faults = cloud.path().join("faults.json");
    let garbage = r#"[{"match":{"operation":"create-api-key","nth":1},"fault":{"kind":"garbage"}}]"#;
    std::fs::write(&faults, garbage).unwrap();
    let log = cloud.path().join("log");
    let mut server = Command::new(EXOKIT);
    let args = ["sim", "--speed", "max", "--state", file.to_str().unwrap(), "--faults"];
    server.args(args).arg(&faults).env_clear().env("EXOKIT_LOG", "trace");
    server.stdout(Stdio::piped()).stderr(File::create(&log).unwrap());

    let served = Served::start(Place::new(), server);
    let mut watched = Watched::new(Place::new(), file);
    // Another connection keeps the write-ahead log from being cleared away.
    let open = SqliteLedger::open(watched.place.dir.path()).unwrap();
    watched.variables.extend(served.variables());
    plant(&mut watched, &mut rng, &api_secret);
    watched.live();
    refused(&mut watched, &mut rng);
    echoed(&mut watched, &mut rng);
    assert!(watched.known.len() >= 3, "the root key, one that was lost, and one in its place");

    assert!(watched.place.path("ledger.db-wal").metadata().unwrap().len() > 0);
    watched.hunt.folder(watched.place.dir.path(), &private_keys(&watched.place));
    watched.arguments(served.server.id());
    watched.hunt.sink("the server's log", std::fs::read(&log).unwrap());
    watched.judge(&["create-api-key", "ciphertext", "create-in-doubt", "export.json", "TRACE", "refused"]);
    drop((open, served));
}

/// Secrets that come from the environment and from files.
fn plant(watched: &mut Watched, rng: &mut fastrand::Rng, api_secret: &str) {
    let (root, passphrase): ([u8; 32], _) = (std::array::from_fn(|_| rng.u8(..)), secret(rng, "passphrase"));
    let root_text = data_encoding::HEXLOWER.encode(&root);
    watched.set("EXOKIT_ROOT_SECRET", &root_text);
    watched.set("EXOKIT_PASSPHRASE", &passphrase);
    watched.hunt.plant("the API secret", api_secret);
    watched.hunt.plant("the root secret", root);
    watched.hunt.plant("the root secret as it is given", root_text);
    watched.hunt.plant("the passphrase", &passphrase);

    watched.expect(0, &["approver", "init"]);
    for (person, role) in [("dana", "developer"), ("alex", "platform"), ("kim", "finance")] {
        let seed: [u8; 32] = std::array::from_fn(|_| rng.u8(..));
        watched.hunt.plant(&format!("the private key of {person}"), seed);
        let key = SecretKey::from_random(seed);
        let pem = key.to_encrypted_pem(&passphrase, &[7; 16], [9; 16]).unwrap();
        let path = watched.place.path("keys").join(format!("{person}.pem"));
        write_private(&path, &pem);
        let public = key.public().to_text();
        watched.expect(0, &["approver", "add", person, "--role", role, "--public", &public]);
    }
    watched.expect(0, &["approver", "create-key", "erin", "-o", "json"]);
}

fn write_private(path: &Path, text: &str) {
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn private_keys(place: &Place) -> Vec<PathBuf> {
    ["root", "dana", "alex", "kim", "erin"]
        .map(|name| place.path("keys").join(format!("{name}.pem")))
        .to_vec()
}

/// Secrets that are wrong, or that stand where they cannot be used.
fn refused(watched: &mut Watched, rng: &mut fastrand::Rng) {
    let mut next = |what: &str, watched: &mut Watched| {
        let secret = secret(rng, what);
        watched.hunt.plant(&format!("a wrong {what}"), &secret);
        secret
    };
    let api = next("API secret", watched);
    let root = next("root secret", watched);
    let passphrase = next("passphrase", watched);
    let password = next("password", watched);
    let in_file = next("secret in a file", watched);
    let endpoint = format!("http://user:{password}@127.0.0.1:1/v2");
    let file = watched.folder.path().join("exoscale.toml");
    let config = file.display().to_string();
    let from_file = [("EXOSCALE_API_KEY", ""), ("EXOSCALE_API_SECRET", ""), ("EXOSCALE_CONFIG", &config)];
    let cases: [(Change<'_>, &[&str]); 6] = [
        (&[("EXOSCALE_API_SECRET", &api)], &["orphans"]),
        (&[("EXOSCALE_API_SECRET", &api)], &["up", "T1", "--name", "never"]),
        (&[("EXOKIT_ROOT_SECRET", &root)], &["list"]),
        (&[("EXOKIT_PASSPHRASE", &passphrase)], &["approver", "revoke", "0000000000000000"]),
        (&[("EXOSCALE_API_ENDPOINT", &endpoint)], &["orphans"]),
        (&[("EXOSCALE_SOS_ENDPOINT", &endpoint)], &["doctor"]),
    ];
    for (change, args) in cases {
        fails(watched, change, args);
    }
    for text in [
        format!("[[accounts]]\nname = \"a\"\nsecret = \"{in_file}\" x\n"),
        format!("[[accounts]]\nname = \"a\"\nkey = \"EXO1\"\nsecret = [\"{in_file}\"]\n"),
        format!("[[accounts]]\nname = \"a\"\nkey = \"{in_file}\"\n"),
        format!("defaultaccount = \"b\"\n[[accounts]]\nname = \"a\"\nsecret = \"{in_file}\"\n"),
    ] {
        std::fs::write(&file, text).unwrap();
        fails(watched, &from_file, &["orphans"]);
    }
}

/// Fails for people and for programs, and when nothing can be written.
fn fails(watched: &mut Watched, change: &[(&str, &str)], args: &[&str]) {
    for args in [args.to_vec(), [args, &["-o", "json"]].concat()] {
        let ended = watched.run(change, &args);
        assert!(matches!(ended.code, 1 | 2), "exokit {}: {}\n{}", args.join(" "), ended.code, ended.err);
    }
    let mut command = watched.place.command(args);
    command.envs(watched.variables.iter().map(|(name, value)| (name, value))).envs(change.iter().copied());
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = crate::common::ended(command.stdout(full).output().unwrap());
    assert!(!ended.err.contains("panicked at"), "{}", ended.err);
    watched.hunt.sink("stderr when stdout is full", ended.err);
}

/// A cloud that tells its zones, and answers every other request with the
/// request itself and with a secret that belongs in no error.
fn echoed(watched: &mut Watched, rng: &mut fastrand::Rng) {
    let one_time = secret(rng, "one-time");
    watched.hunt.plant("a one-time secret in an error", &one_time);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let signatures: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = signatures.clone();
    // It ends with the test.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            echo(&stream.unwrap(), &one_time, &heard);
        }
    });
    let (api, sos) = (format!("http://{address}/v2"), format!("http://{address}"));
    let change = [("EXOSCALE_API_ENDPOINT", api.as_str()), ("EXOSCALE_SOS_ENDPOINT", &sos)];
    for args in [&["orphans"][..], &["doctor"], &["up", "T3", "--name", "never"]] {
        for _ in 0..ECHOES {
            fails(watched, &change, args);
        }
    }
    let signatures = signatures.lock().unwrap().clone();
    assert!(signatures.len() >= 2 * ECHOES, "{signatures:?}");
    // Equal requests of one second have equal signatures.
    signatures
        .into_iter()
        .collect::<BTreeSet<_>>()
        .iter()
        .for_each(|signature| watched.hunt.plant("a signature", signature));
}

/// The forms in which a request is echoed.
const ECHOES: usize = 4;

fn echo(stream: &TcpStream, one_time: &str, heard: &Mutex<Vec<String>>) {
    let lines = BufReader::new(stream).lines().map(Result::unwrap_or_default);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let head = head.join(" ");
    for part in head.split("ignature=").skip(1) {
        let end = part.find([' ', '&', ',']).unwrap_or(part.len());
        heard.lock().unwrap().push(part[..end].to_owned());
    }
    // The zones are asked for without a signature, and first.
    let is_zones = head.starts_with("GET /v2/zone ");
    let form = heard.lock().unwrap().len() % ECHOES;
    let body = match form {
        _ if is_zones => r#"{"zones":[{"name":"ch-dk-2"}]}"#.to_owned(),
        0 => head,
        1 => serde_json::json!({ "message": format!("cannot read {head}") }).to_string(),
        2 => serde_json::json!({ "key": "EXO1", "secret": one_time, "request": head }).to_string(),
        _ => format!("<Error><Code>Bad</Code><Message>{}</Message></Error>", head.replace('&', "&amp;")),
    };
    let status = if is_zones { "200 OK" } else { "400 Bad" };
    let reply =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // Whoever asked may have gone away.
    let mut stream = stream;
    let _ = stream.write_all(reply.as_bytes());
}

#[test]
fn no_secret_gets_out_of_the_embedded_cloud_and_the_keyring() {
    let place = Place::with_roster().at_speed("max");
    let cloud = place.path("sim-cloud.json");
    let mut watched = Watched::new(place, cloud.clone());
    let keyring = watched.place.path("keyring");
    let root = std::fs::read_to_string(&keyring).unwrap().trim().to_owned();
    watched.hunt.plant("the keyring", data_encoding::HEXLOWER.decode(root.as_bytes()).unwrap());
    watched.hunt.plant("the keyring as it stands", root);
    watched.hunt.plant("the passphrase", crate::common::PASSPHRASE);
    watched.live();
    // Processes that the program starts itself.
    let kept = watched.folder.path().join("demo").display().to_string();
    watched.expect(0, &["demo", "--keep", &kept]);
    assert!(watched.known.len() >= 2, "the root key and the bucket's");
    let mut apart = private_keys(&watched.place);
    apart.retain(|path| !path.ends_with("erin.pem"));
    apart.extend([keyring, cloud]);
    watched.hunt.folder(watched.place.dir.path(), &apart);
    watched.judge(&["create-api-key", "ciphertext", "export.json", "DEBUG"]);
}

#[test]
fn a_secret_that_is_planted_is_found_in_every_form_and_every_sink() {
    let mut rng = fastrand::Rng::new();
    let place = Place::new();
    let cloud = place.path("sim-cloud.json");
    let mut watched = Watched::new(place, cloud);
    let (text, bytes) = (secret(&mut rng, "text"), std::array::from_fn::<u8, 32, _>(|_| rng.u8(..)));
    watched.hunt.plant("text", &text);
    watched.hunt.plant("bytes", bytes);
    watched.expect(0, &["list"]);
    watched.hunt.folder(watched.place.dir.path(), &[]);
    watched.judge(&["There is no environment"]);

    for canary in watched.hunt.canaries.clone() {
        for (form, needle) in canary.forms() {
            let hunt = watched.hunt.only(&[b"before", needle, b"after"].concat());
            assert_eq!(hunt.found().len(), 1, "{form}");
        }
        for around in 0..3 {
            let longer = [&b"xyz"[..around], text.as_bytes(), b"and more"].concat();
            let hunt = watched.hunt.only(data_encoding::BASE64URL_NOPAD.encode(&longer).as_bytes());
            assert_eq!(hunt.found().len(), 1, "inside of base64 at {around}");
        }
    }

    // In an argument, in an error, in a file.
    let mut server = Command::new(EXOKIT);
    server.args(["sim", "--api-secret", &text]).env_clear().stdout(Stdio::piped());
    watched.arguments(Served::start(Place::new(), server).server.id());
    let ended = watched.run(&[], &["show", &text]);
    assert_eq!(ended.code, 2);
    std::fs::write(watched.place.path("leak"), data_encoding::BASE64.encode(&bytes)).unwrap();
    watched.hunt.folder(watched.place.dir.path(), &[]);
    let found = watched.hunt.found().join("\n");
    for sink in ["text is in arguments of processes", "text is in stderr of show", "bytes is in "] {
        assert!(found.contains(sink), "{sink} is missing: {found}");
    }
}
