//! What reaches the simulated cloud: requests, policies, files of faults.

use std::sync::LazyLock;

use bytes::Bytes;
use exokit_sim::{
    Config, Fault, FaultRule, LatencyTable, Matcher, Outcome, Schedule, World, exo2_message, exo2_signature,
};
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

/// When every world begins, in milliseconds.
const START_MS: i64 = 1_800_000_000_000;

/// Most requests in one input.
const REQUESTS_MAX: usize = 4;

/// What stands alone on a line between two requests.
const NEXT: &str = "\n%%\n";

/// A world with one of most things, and a bucket with an object.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut world = World::new(Config { latency: LatencyTable::fixed(), ..Config::default() });
    let mut now = START_MS;
    for text in FILL {
        now += 1_000;
        let reply = send(&mut world, now, text.as_bytes()).expect("a request of the list is one");
        assert!(reply.status().is_success(), "{text}: {reply:?}");
        now += 300_000;
        world.advance(now);
    }
    world
});

/// Makes the things of [`WORLD`].
const FILL: [&str; 6] = [
    "POST /v2/security-group\n\n{\"name\":\"group\",\"description\":\"d\"}",
    "POST /v2/anti-affinity-group\n\n{\"name\":\"apart\"}",
    "POST /v2/sks-cluster\n\n{\"name\":\"c\",\"level\":\"starter\",\"version\":\"1.35.1\",\"cni\":\"calico\",\"labels\":{\"a\":\"b\"}}",
    "POST /v2/iam-role\n\n{\"name\":\"role\",\"editable\":true,\"policy\":{\"default-service-strategy\":\"allow\",\"services\":{}}}",
    "PUT /bucket\n\n",
    "PUT /bucket/a/key%20x\ncontent-type: text/plain\n\nhello",
];

/// Lists and single reads whose replies seed the reading of replies.
const READ: [&str; 9] = [
    "/v2/security-group",
    "/v2/anti-affinity-group",
    "/v2/sks-cluster",
    "/v2/iam-role",
    "/v2/api-key",
    "/v2/zone",
    "/v2/quota",
    "/v2/instance-type",
    "/v2/sos-buckets-usage",
];

/// The two sides of an empty line, or of none.
pub(crate) fn head_and_body(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((data, &[][..]), |at| (&data[..at], &data[at + 2..]));
    Some((std::str::from_utf8(head).ok()?, body))
}

/// Requests to a world: `METHOD TARGET`, header lines, an empty line, a body.
/// One without a signature is given a valid one.
pub(crate) fn requests(data: &[u8]) -> bool {
    let mut world = WORLD.clone();
    let mut now = world.now_ms();
    let mut accepted = false;
    for text in parts(data).into_iter().take(REQUESTS_MAX) {
        now += 1_000;
        if let Some(reply) = send(&mut world, now, text) {
            check_reply(&reply);
            accepted |= reply.status().is_success();
        }
    }
    world.advance(now + 3_600_000);
    let _ = world.live();
    // Slow, so not every time.
    if data.len().is_multiple_of(16) {
        let saved = serde_json::to_string(&world).expect("a world can be saved");
        let restored: World = serde_json::from_str(&saved).expect("a saved world can be restored");
        assert_eq!(restored.journal().len(), world.journal().len());
    }
    accepted
}

fn parts(data: &[u8]) -> Vec<&[u8]> {
    let mut rest = data;
    let mut parts = Vec::new();
    while let Some(at) = rest.windows(NEXT.len()).position(|window| window == NEXT.as_bytes()) {
        parts.push(&rest[..at]);
        rest = &rest[at + NEXT.len()..];
    }
    parts.push(rest);
    parts
}

/// A refusal of the API is JSON with a message, one of object storage is XML.
fn check_reply(reply: &http::Response<Bytes>) {
    assert!((200..600).contains(&reply.status().as_u16()), "{reply:?}");
    let kind = reply.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        assert!(serde_json::from_slice::<Value>(reply.body()).is_ok(), "{reply:?}");
    }
}

/// Builds the request, signs it where it is not, and hands it over.
fn send(world: &mut World, now: i64, text: &[u8]) -> Option<http::Response<Bytes>> {
    let request = request(world, now, text)?;
    match world.handle(now, &request) {
        Outcome::Reply(reply) => Some(reply),
        Outcome::Drop | Outcome::Unreachable => None,
    }
}

fn request(world: &World, now: i64, text: &[u8]) -> Option<Request<Bytes>> {
    let (head, body) = head_and_body(text)?;
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let api = target.starts_with("/v2/") || target.starts_with("/public");
    let host = if api { "https://api-ch-dk-2.exoscale.com" } else { "https://sos-ch-dk-2.exo.io" };
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let signed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let presigned = target.contains("X-Amz-Signature=");
    let uri = match api || signed || presigned {
        true => format!("{host}{target}"),
        false => presign(world, now, method, &format!("{host}{target}"))?,
    };
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name.trim(), value.trim());
    }
    if api && !signed {
        request = request.header("authorization", authorization(world, now, method, target, body));
    }
    request.body(Bytes::copy_from_slice(body)).ok()
}

fn authorization(world: &World, now: i64, method: &str, target: &str, body: &[u8]) -> String {
    let (config, expires) = (world.config(), now / 1_000 + 30);
    let path = target.split('?').next().unwrap_or_default();
    let signature = exo2_signature(&config.api_secret, &exo2_message(method, path, body, "", expires));
    format!("EXO2-HMAC-SHA256 credential={},expires={expires},signature={signature}", config.api_key)
}

fn presign(world: &World, now: i64, method: &str, url: &str) -> Option<String> {
    let method = match method {
        "GET" => rusty_s3::Method::Get,
        "HEAD" => rusty_s3::Method::Head,
        "PUT" => rusty_s3::Method::Put,
        "POST" => rusty_s3::Method::Post,
        "DELETE" => rusty_s3::Method::Delete,
        _ => return Some(url.to_owned()),
    };
    let (config, at) = (world.config(), Timestamp::from_millisecond(now).ok()?);
    let mut url = Url::parse(url).ok()?;
    let mut query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    query.sort();
    url.set_query(None);
    let host = url.host_str()?.to_owned();
    let pairs = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let headers = [("host", host.as_str())].into_iter();
    let (key, secret) = (&config.api_key, &config.api_secret);
    let signed = rusty_s3::signing::sign(&at, method, url, key, secret, None, "ch-dk-2", 60, pairs, headers);
    Some(signed.into())
}

pub(crate) fn requests_seeds() -> Vec<Vec<u8>> {
    let reads = READ.iter().map(|path| format!("GET {path}\n\n"));
    let more = [
        "GET /v2/event?from=2026-01-01T00:00:00Z&to=2036-01-02\n\n",
        "POST /v2/sks-cluster\n\n{\"name\":\"d\",\"level\":\"pro\",\"version\":\"1.35.1\",\"addons\":[\"metrics-server\"]}\n%%\nGET /v2/sks-cluster\n\n",
        "POST /v2/dbaas-postgres/pg1\n\n{\"plan\":\"startup-4\",\"version\":\"16\",\"termination-protection\":false,\"ip-filter\":[\"0.0.0.0/0\"]}",
        "GET /bucket?list-type=2&prefix=a&delimiter=/&max-keys=5\n\n",
        "GET /bucket?versions=\n\n",
        "GET /bucket/a/key%20x\nrange: bytes=1-3\n\n",
        "PUT /bucket?versioning=\n\n<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>\n%%\nPUT /bucket/b\n\nx\n%%\nDELETE /bucket/b\n\n",
        "PUT /bucket/c\ncontent-encoding: aws-chunked\nx-amz-trailer: x-amz-checksum-crc32\n\n5\r\nhello\r\n0\r\n\r\n",
        "POST /bucket?delete=\nx-amz-checksum-sha256: AAAA\n\n<Delete><Quiet>true</Quiet><Object><Key>a/key x</Key></Object></Delete>",
        "POST /bucket/up?uploads=\n\n",
        "GET /bucket?uploads=\n\n",
        "PUT /bucket?acl=\nx-amz-acl: public-read\n\n",
    ];
    reads.chain(more.map(str::to_owned)).map(String::into_bytes).collect()
}

/// Bodies of the replies to [`READ`], and to one read of each thing.
pub(crate) fn replies() -> Vec<Vec<u8>> {
    let mut world = WORLD.clone();
    let now = world.now_ms();
    let read = |path: &&str| send(&mut world, now, format!("GET {path}\n\n").as_bytes());
    READ.iter().filter_map(read).map(|reply| reply.body().to_vec()).collect()
}

/// A policy expression: in a role, then asked by a key that has the role.
pub(crate) fn cel(data: &[u8]) -> bool {
    let Ok(expression) = std::str::from_utf8(data) else { return false };
    let mut world = WORLD.clone();
    let mut now = world.now_ms();
    let rule = json!({"type": "rules", "rules": [{"expression": expression, "action": "allow"}]});
    let policy = json!({"default-service-strategy": "deny", "services": {"compute": rule}});
    let role = json!({"name": "asked", "policy": policy});
    let mut post = |world: &mut World, path: &str, body: &Value| {
        now += 60_000;
        send(world, now, format!("POST {path}\n\n{body}").as_bytes())
    };
    let Some(made) = post(&mut world, "/v2/iam-role", &role).filter(|reply| reply.status().is_success())
    else {
        return false;
    };
    let made: Value = serde_json::from_slice(made.body()).expect("an accepted role is answered in JSON");
    let key = json!({"name": "k", "role-id": made["reference"]["id"]});
    let key = post(&mut world, "/v2/api-key", &key).expect("a reply");
    let key: Value = serde_json::from_slice(key.body()).expect("a key is answered in JSON");
    let (Some(name), Some(secret)) = (key["key"].as_str(), key["secret"].as_str()) else {
        panic!("the role was made and the key was not: {key}");
    };
    now += 60_000;
    let expires = now / 1_000 + 30;
    let signature = exo2_signature(secret, &exo2_message("GET", "/v2/sks-cluster", b"", "", expires));
    let asked = format!(
        "GET /v2/sks-cluster\nauthorization: EXO2-HMAC-SHA256 credential={name},expires={expires},signature={signature}\n\n"
    );
    let reply = send(&mut world, now, asked.as_bytes()).expect("a reply");
    assert!(matches!(reply.status().as_u16(), 200 | 403), "{reply:?}");
    true
}

pub(crate) fn cel_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "operation == 'list-sks-clusters'",
        "operation in ['list-sks-clusters', \"get-sks-cluster\"] && !(zone != 'ch-dk-2')",
        "parameters.has('name') || parameters.name.startsWith('a') || operation.contains('list') && true",
        "resources.bucket == 'b' || (((operation.endsWith('s'))))",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// What is asked under each file of faults.
const UNDER_FAULTS: [&str; 5] = [
    "POST /v2/sks-cluster\n\n{\"name\":\"d\",\"level\":\"pro\",\"version\":\"1.35.1\"}",
    "GET /v2/sks-cluster\n\n",
    "POST /v2/security-group\n\n{\"name\":\"second\"}",
    "GET /v2/security-group\n\n",
    "PUT /bucket/d\n\nx",
];

/// A file of faults and latencies, and a few requests under them.
pub(crate) fn faults(data: &[u8]) -> bool {
    let Ok(schedule) = Schedule::read(data) else { return false };
    let mut world = WORLD.clone();
    world.reconfigure(|config| {
        config.latency.by_operation.extend(schedule.latencies);
        config.faults = schedule.faults;
    });
    let mut now = world.now_ms();
    for text in UNDER_FAULTS {
        now += 1_000;
        send(&mut world, now, text.as_bytes());
    }
    world.advance(now + 86_400_000);
    let _ = world.live();
    true
}

pub(crate) fn faults_seeds() -> Vec<Vec<u8>> {
    let every = |fault: Fault| FaultRule { when: Matcher::every("*"), fault };
    let fails = Fault::OperationFails { reason: "fault".into(), message: None, leaves_resource: true };
    let busy = Fault::Status { status: 503, message: None, retry_after: Some(5), after_effect: true };
    let quota = Fault::Quota { resource: "sks-cluster".into(), limit: 1 };
    let faults = [
        vec![every(fails)],
        vec![every(busy), every(Fault::Garbage), every(Fault::DropAfter)],
        vec![every(Fault::Late { delay_ms: 7_000 }), every(Fault::Slow { factor: 2.5 })],
        vec![every(Fault::ListLag { ms: 20_000 }), every(quota), every(Fault::OperationStuck)],
    ];
    let mut seeds: Vec<Vec<u8>> =
        faults.iter().map(|rules| serde_json::to_vec(rules).expect("rules have a JSON form")).collect();
    let whole = r#"{"faults":[{"match":{"operation":"create-*","nth":1,"after_ms":0,"until_ms":9000,"probability":0.5,"times":2},"fault":{"kind":"drop-before"}}],"latencies":{"create-sks-cluster":{"low_ms":1,"high_ms":2}}}"#;
    seeds.push(whole.as_bytes().to_vec());
    seeds
}
