//! Watches of a cluster's API server over TLS, in real time. A test can let more
//! time pass where a world in a file is served: its watches poll it.

use crate::common::{SMALL, T0, cluster_body, signed};
use bytes::Bytes;
use data_encoding::BASE64;
use exokit_sim::{Config, LatencyTable, Outcome, Running, ServeOptions, Speed, serve};
use http::Request;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long to wait for something that should come at once.
const PATIENCE: Duration = Duration::from_secs(20);
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A served cluster, and a kubeconfig of an administrator.
struct Served {
    running: Running,
    config: Config,
    /// Time that passed besides the real one.
    skipped_ms: Arc<AtomicI64>,
    cluster: String,
    kubeconfig: String,
}

impl Served {
    /// A cluster in memory.
    async fn start() -> Self {
        Self::start_with(3600, None).await
    }

    /// A cluster whose administrator's certificate lasts for a time.
    async fn start_with(certificate_seconds: u64, state: Option<PathBuf>) -> Self {
        let config = Config { latency: LatencyTable::fixed(), ..Config::default() };
        let start = Instant::now();
        let skipped_ms = Arc::new(AtomicI64::new(0));
        let skipped = Arc::clone(&skipped_ms);
        let now = move || {
            let elapsed = i64::try_from(start.elapsed().as_millis()).unwrap();
            T0 + elapsed + skipped.load(Ordering::Relaxed)
        };
        let options = ServeOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            sos_listen: None,
            speed: Speed::Times(1000.0),
            state,
            faults: None,
            record: None,
            control_plane: exokit_sim::ControlPlane::Simulated,
            config: config.clone(),
            now: Arc::new(now),
        };
        let running = serve(options).await.unwrap();
        let (cluster, kubeconfig) = Default::default();
        let mut served = Self { running, config, skipped_ms, cluster, kubeconfig };
        served.cluster = served.done("POST", "/sks-cluster", &cluster_body("c")).await;
        let wanted = json!({"user": "kim", "groups": ["system:masters"], "ttl": certificate_seconds});
        let path = format!("/sks-cluster-kubeconfig/{}", served.cluster);
        let reply = served.call("POST", &path, &wanted);
        let text = BASE64.decode(reply["kubeconfig"].as_str().unwrap().as_bytes()).unwrap();
        served.kubeconfig = String::from_utf8(text).unwrap();
        served
    }

    /// Asks the API of the cloud.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let pair = (self.config.api_key.as_str(), self.config.api_secret.as_str());
        let now = self.running.world.now_ms();
        let request = signed(pair, "ch-dk-2", method, path, body, now / 1000 + 30);
        let outcome = self.running.world.with(|world| world.handle(now, &request)).unwrap();
        let Outcome::Reply(reply) = outcome else { panic!("{method} {path}: {outcome:?}") };
        assert_eq!(reply.status(), 200, "{method} {path}: {reply:?}");
        serde_json::from_slice(reply.body()).unwrap()
    }

    /// Runs an operation of the cloud to its end; gives what it refers to.
    async fn done(&self, method: &str, path: &str, body: &Value) -> String {
        let operation = self.call(method, path, body);
        let path = format!("/operation/{}", operation["id"].as_str().unwrap());
        while self.call("GET", &path, &Value::Null)["state"] == "pending" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        operation["reference"]["id"].as_str().unwrap().to_owned()
    }

    /// The value of a field of the kubeconfig.
    fn field(&self, name: &str) -> &str {
        let line = self.kubeconfig.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap().trim_start_matches(": ").trim_matches('"')
    }

    fn pem(&self, name: &str) -> Vec<u8> {
        BASE64.decode(self.field(name).as_bytes()).unwrap()
    }

    /// A connection to the cluster, on which one request was sent.
    async fn send(&self, method: &str, path: &str, body: &str) -> Connection {
        let mut roots = RootCertStore::empty();
        let authority = self.pem("certificate-authority-data");
        roots.add(CertificateDer::from_pem_slice(&authority).unwrap()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(&self.pem("client-certificate-data")).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(&self.pem("client-key-data")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(AtStart))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let address = self.field("server").trim_start_matches("https://");
        let name = self.field("tls-server-name").to_owned().try_into().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut connection = Connection(BufReader::new(stream));
        let status = connection.line().await;
        assert!(status.starts_with("HTTP/1.1 20"), "{method} {path}: {status}");
        connection
    }

    async fn watch(&self, path: &str) -> Connection {
        self.send("GET", path, "").await
    }

    /// Lets time pass at once.
    fn skip(&self, seconds: i64) {
        self.skipped_ms.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    /// Creates a config map over a connection of its own.
    async fn create(&self, name: &str) {
        self.send("POST", MAPS, &map(name)).await;
    }
}

fn map(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string()
}

/// Certificates are checked at the start of the simulated time.
#[derive(Debug)]
struct AtStart;

impl TimeProvider for AtStart {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(T0.unsigned_abs() / 1000 + 3600)))
    }
}

struct Connection(BufReader<TlsStream<TcpStream>>);

impl Connection {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        let length = tokio::time::timeout(PATIENCE, read).await.expect("nothing came").unwrap();
        assert_ne!(length, 0, "the connection ended");
        line
    }

    /// The next event; none after the last chunk.
    async fn event(&mut self) -> Option<Value> {
        loop {
            match self.line().await.trim_end() {
                "0" => return None,
                line if line.starts_with('{') => return Some(serde_json::from_str(line).unwrap()),
                _ => {}
            }
        }
    }

    /// The first event that a condition holds for.
    async fn event_where(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.event().await.expect("the watch ended");
            if holds(&event) {
                return event;
            }
        }
    }

    /// The types of all events until the watch ends.
    async fn rest(&mut self) -> Vec<String> {
        let mut types = Vec::new();
        while let Some(event) = self.event().await {
            types.push(event["type"].as_str().unwrap().to_owned());
        }
        types
    }
}

#[tokio::test]
async fn an_event_arrives_on_an_open_watch_after_a_later_write() {
    let served = Served::start().await;
    let mut watches = [
        served.watch(&format!("{MAPS}?watch=true")).await,
        served.watch(&format!("{MAPS}?watch=true&fieldSelector=metadata.name%3Dsecond")).await,
    ];
    for name in ["first", "second"] {
        served.create(name).await;
        let event = watches[0].event_where(|event| event["object"]["metadata"]["name"] == name).await;
        assert_eq!(event["type"], "ADDED");
    }
    let event = watches[1].event().await.unwrap();
    assert_eq!(event["object"]["metadata"]["name"], "second");
}

#[tokio::test]
async fn what_controllers_do_arrives_without_another_request() {
    let served = Served::start().await;
    let pool = json!({"name": "pool", "size": 1, "disk-size": 20, "instance-type": {"id": SMALL}});
    served.done("POST", &format!("/sks-cluster/{}/nodepool", served.cluster), &pool).await;
    let mut pods = served.watch("/api/v1/namespaces/default/pods?watch=true").await;
    let labels = json!({"app": "web"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "nginx:1.29"}]},
        }},
    });
    served.send("POST", "/apis/apps/v1/namespaces/default/deployments", &deployment.to_string()).await;
    let event = pods.event_where(|event| event["object"]["status"]["phase"] == "Running").await;
    assert_eq!(event["type"], "MODIFIED");
}

#[tokio::test]
async fn a_watch_ends_at_the_time_that_it_asked_for() {
    let served = Served::start().await;
    let start = Instant::now();
    let mut watch = served.watch(&format!("{MAPS}?watch=true&timeoutSeconds=1")).await;
    assert_eq!(watch.rest().await, ["ADDED"]);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_watch_without_events_has_bookmarks_until_the_certificate_ends() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start_with(90, Some(folder.path().join("cloud.json"))).await;
    let path = format!("{MAPS}?watch=true&allowWatchBookmarks=true");
    let mut watch = served.watch(&path).await;
    assert_eq!(watch.event().await.unwrap()["type"], "ADDED");
    served.skip(61);
    assert_eq!(watch.event().await.unwrap()["type"], "BOOKMARK");
    served.skip(30);
    assert_eq!(watch.event().await, None);
}

#[tokio::test]
async fn a_watch_ends_when_its_cluster_is_deleted() {
    let served = Served::start().await;
    let mut watch = served.watch(&format!("{MAPS}?watch=true")).await;
    served.call("DELETE", &format!("/sks-cluster/{}", served.cluster), &Value::Null);
    assert_eq!(watch.rest().await, ["ADDED"]);
}

#[tokio::test]
async fn a_client_that_falls_behind_is_told_to_list_again() {
    let served = Served::start().await;
    let mut watch = served.watch(&format!("{MAPS}?watch=true")).await;
    assert_eq!(watch.event().await.unwrap()["type"], "ADDED");
    let certificate = String::from_utf8(served.pem("client-certificate-data")).unwrap();
    // In one go: the task of the watch does not run in between.
    let now = served.running.world.now_ms();
    for number in 0..300 {
        let request = Request::post(format!("https://{}{MAPS}", served.field("tls-server-name")))
            .extension(exokit_sim::ClientCertificate(certificate.clone()))
            .body(Bytes::from(map(&format!("map-{number}"))))
            .unwrap();
        let outcome = served.running.world.with(|world| world.handle(now, &request)).unwrap();
        assert!(matches!(outcome, Outcome::Reply(reply) if reply.status() == 201));
    }
    let event = watch.event().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(watch.event().await, None);
}
