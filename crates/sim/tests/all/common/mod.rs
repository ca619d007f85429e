//! Signing requests and talking to a world directly, for the tests.
#![allow(missing_docs, unreachable_pub, reason = "helpers of the tests beside it")]

use bytes::Bytes;
use exokit_sim::{Config, LatencyTable, Outcome, World, exo2_message, exo2_signature};
use http::Request;
use serde_json::{Value, json};

pub const T0: i64 = 1_800_000_000_000;

/// A signed request for the API of `zone`.
pub fn signed(
    (key, secret): (&str, &str),
    zone: &str,
    method: &str,
    path: &str,
    body: &Value,
    expires: i64,
) -> Request<Bytes> {
    let uri = format!("https://api-{zone}.exoscale.com/v2{path}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let bare = format!("/v2{}", path.split('?').next().unwrap());
    let query: Vec<(&str, &str)> = path
        .split_once('?')
        .map(|(_, q)| q.split('&').filter_map(|p| p.split_once('=')).collect())
        .unwrap_or_default();
    let values: String = query.iter().map(|(_, v)| *v).collect();
    let names: Vec<&str> = query.iter().map(|(k, _)| *k).collect();
    let args =
        if names.is_empty() { String::new() } else { format!(",signed-query-args={}", names.join(";")) };
    let message = exo2_message(method, &bare, body.as_bytes(), &values, expires);
    let signature = exo2_signature(secret, &message);
    let header = format!("EXO2-HMAC-SHA256 credential={key}{args},expires={expires},signature={signature}");
    Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", header)
        .body(Bytes::from(body))
        .unwrap()
}

/// A world with a clock of its own.
pub struct Bench {
    pub world: World,
    pub now: i64,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        Self { world: World::new(config), now: T0 }
    }

    /// Fixed latencies, no faults.
    pub fn fixed() -> Self {
        Self::new(Config { latency: LatencyTable::fixed(), ..Config::default() })
    }

    pub fn request(&self, method: &str, path: &str, body: &Value) -> Request<Bytes> {
        let config = self.world.config();
        let pair = (config.api_key.as_str(), config.api_secret.as_str());
        let expires = self.now / 1000 + 30;
        signed(pair, "ch-dk-2", method, path, body, expires)
    }

    pub fn raw(&mut self, method: &str, path: &str, body: &Value) -> Outcome {
        let request = self.request(method, path, body);
        self.world.handle(self.now, &request)
    }

    /// Status and document of a reply; status 0 when the connection closed.
    pub fn call(&mut self, method: &str, path: &str, body: Value) -> (u16, Value) {
        match self.raw(method, path, &body) {
            Outcome::Drop | Outcome::Unreachable => (0, Value::Null),
            Outcome::Reply(reply) => {
                let doc = serde_json::from_slice(reply.body()).unwrap_or(Value::Null);
                (reply.status().as_u16(), doc)
            }
        }
    }

    pub fn get(&mut self, path: &str) -> Value {
        let (status, doc) = self.call("GET", path, Value::Null);
        assert_eq!(status, 200, "GET {path}: {doc}");
        doc
    }

    pub fn wait_ms(&mut self, ms: i64) {
        self.now += ms;
        self.world.advance(self.now);
    }

    /// Sends a mutation, lets its operation finish, returns the reference id.
    pub fn done(&mut self, method: &str, path: &str, body: Value) -> String {
        let (status, operation) = self.call(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {operation}");
        assert_eq!(operation["state"], "pending");
        let path = format!("/operation/{}", operation["id"].as_str().unwrap());
        for _ in 0..10_000 {
            let now = self.get(&path);
            match now["state"].as_str().unwrap() {
                "pending" => self.wait_ms(1_000),
                "success" => {
                    return now["reference"]["id"].as_str().unwrap_or_default().to_owned();
                }
                other => panic!("{path}: {other}: {now}"),
            }
        }
        panic!("{path} never finished");
    }

    pub fn cluster(&mut self, name: &str) -> String {
        self.done("POST", "/sks-cluster", cluster_body(name))
    }

    pub fn nodepool(&mut self, cluster: &str, extra: Value) -> String {
        let mut body = json!({
            "name": "pool", "size": 1, "disk-size": 20, "instance-type": {"id": SMALL},
        });
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.done("POST", &format!("/sks-cluster/{cluster}/nodepool"), body)
    }
}

pub const SMALL: &str = "21624abb-764e-4def-81d7-9fc54b5957fb";
pub const TINY: &str = "b6cd1ff5-3a2f-4e9d-a4d1-8988c1191fe8";
pub const MEGA: &str = "c0d3fb5d-6fdb-4a63-9361-3e5cfa8b36d0";

pub fn cluster_body(name: &str) -> Value {
    json!({"name": name, "level": "starter", "version": "1.35.1", "cni": "calico",
        "addons": ["exoscale-cloud-controller"]})
}
