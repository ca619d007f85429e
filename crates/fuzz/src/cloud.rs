//! What the cloud answers, and the settings that lead to it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use exokit_cloud::budget::Budget;
use exokit_cloud::client::Client;
use exokit_cloud::clock::SystemClock;
use exokit_cloud::config::{AccountText, CloudConfig, resolve};
use exokit_cloud::endpoint::Endpoints;
use exokit_cloud::outcome::CallError;
use exokit_cloud::signing::Credentials;
use exokit_cloud::testing;
use exokit_cloud::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use exokit_kinds::{Observed, ownership};
use exokit_model::ids::{ResourceId, Zone};
use exokit_model::kind::Kind;
use serde_json::Value;
use tower::util::BoxCloneSyncService;

use crate::{check_refusal, recorded, simulated};

/// A secret that no message may repeat.
const SECRET: &str = "hunter2-canary-secret";

fn zone() -> Zone {
    "ch-dk-2".parse().expect("the zone of the targets is one")
}

fn config(endpoints: Endpoints) -> CloudConfig {
    CloudConfig {
        credentials: Credentials::new("EXOkey", SECRET),
        origin: String::new(),
        zone: zone(),
        endpoints,
    }
}

/// What a client makes of one reply, and the requests that it sent for it.
fn read(config: &CloudConfig, reply: &HttpResponse) -> (Result<Value, CallError>, Vec<HttpRequest>) {
    let sent: Arc<Mutex<Vec<HttpRequest>>> = Arc::default();
    let (log, reply) = (sent.clone(), reply.clone());
    let transport: Transport = BoxCloneSyncService::new(tower::service_fn(move |request: HttpRequest| {
        log.lock().expect("nothing panics with the lock held").push(request);
        let answer: Result<HttpResponse, TransportError> = Ok(reply.clone());
        std::future::ready(answer)
    }));
    let client = Client::new(transport, config, Arc::new(SystemClock), Budget::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let outcome = runtime
        .expect("a runtime can be made")
        .block_on(async { client.read(&config.zone, "list-things", "/v2/thing?a=b").await });
    drop(client);
    let sent = std::mem::take(&mut *sent.lock().expect("nothing panics with the lock held"));
    (outcome.map(|reply| reply.value().clone()), sent)
}

/// A reply of the API: `STATUS`, header lines, an empty line, the body.
pub(crate) fn reply(data: &[u8]) -> bool {
    let Some(reply) = http_reply(data) else { return false };
    let (outcome, sent) = read(&config(Endpoints::default()), &reply);
    assert!(!sent.is_empty() && sent.len() <= 5, "{} attempts", sent.len());
    match outcome {
        Ok(value) => {
            assert!(reply.status().is_success() && value.is_object());
            Kind::CLOUD.iter().filter(|kind| read_kind(**kind, &value)).count() > 0
        }
        Err(error) => {
            check_refusal(&error.to_string(), "an error");
            false
        }
    }
}

/// Every way to read a body for a kind; whether it shows a resource.
fn read_kind(kind: Kind, body: &Value) -> bool {
    let behaviour = exokit_kinds::of(kind);
    let id: ResourceId = "a".parse().expect("a letter is an id");
    let listed = behaviour.parse_list(body).unwrap_or_default();
    let shown = behaviour.parse_get(&id, Some(&id), body).ok().flatten();
    for node in recorded::plan().graph.nodes().iter().filter(|node| node.kind == kind) {
        let planned = node.create.as_ref().and_then(|create| create.body.clone()).unwrap_or_default();
        for observed in listed.iter().chain(&shown) {
            let _ = behaviour.compare(&node.key, &planned, observed);
        }
        if let Ok(accepted) = behaviour.accepted(node, body) {
            assert!(!format!("{accepted:?}").contains(SECRET));
        }
    }
    listed.iter().chain(&shown).for_each(check_observed);
    !listed.is_empty() || shown.is_some()
}

/// What is observed can be asked for again: its id stays in its place.
fn check_observed(observed: &Observed) {
    let behaviour = exokit_kinds::of(observed.kind);
    let path = behaviour.get(&observed.id, observed.parent.as_ref()).path;
    let address = format!("https://host{path}").parse::<http::Uri>().expect("a path with an id is a path");
    assert!(!address.path().split('/').any(|part| part == ".."), "{path}");
    let _ = ownership::claim(&observed.raw);
}

fn http_reply(data: &[u8]) -> Option<HttpResponse> {
    let (head, body) = simulated::head_and_body(data)?;
    let mut lines = head.lines();
    let mut reply = http::Response::builder().status(lines.next()?.parse::<u16>().ok()?);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        reply = reply.header(name, value.trim());
    }
    reply.body(Bytes::copy_from_slice(body)).ok()
}

/// Replies that the simulated cloud gives, and errors in each known shape.
pub(crate) fn reply_seeds() -> Vec<Vec<u8>> {
    let lists = simulated::replies().into_iter().map(|body| [b"200\n\n".as_slice(), &body].concat());
    lists.filter(|seed| reply(seed)).collect()
}

/// XML of object storage.
pub(crate) fn storage_reply(data: &[u8]) -> bool {
    testing::storage_reply(data)
}

pub(crate) fn storage_reply_seeds() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 4] = [
        b"<?xml version=\"1.0\"?><ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
          <IsTruncated>true</IsTruncated><NextKeyMarker>b&amp;</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker>\
          <Version><Key>a</Key><VersionId>1</VersionId></Version><DeleteMarker><Key>a</Key><VersionId>3</VersionId>\
          </DeleteMarker></ListVersionsResult>",
        b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>x/y z</Key><UploadId>a+b</UploadId>\
          </Upload></ListMultipartUploadsResult>",
        b"<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code>\
          <Message><![CDATA[locked]]>&#x21;</Message></Error></DeleteResult>",
        b"<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>",
    ];
    texts.map(<[u8]>::to_vec).into()
}

/// The account file of the exo CLI. The secret of the seeds is in no message.
pub(crate) fn account_file(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let file = AccountText { path: "exoscale.toml", text };
    // In the place of a name or a key it is a name or a key, and those are told.
    let in_place = text.contains(&format!("\nsecret = \"{SECRET}\"\n"));
    let once = text.matches(SECRET).count() == 1 && !text.contains("\"\"\"") && !text.contains("'''");
    match resolve(&BTreeMap::new(), Some(file)) {
        Ok(config) => {
            assert!(!(in_place && once && format!("{config:?}").contains(SECRET)), "{config:?}");
            let key = config.credentials.key();
            assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{key:?}");
            check_endpoints(config);
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!(in_place && once && message.contains(SECRET)), "{message}");
            check_refusal(&message, error.hint());
            false
        }
    }
}

pub(crate) fn account_file_seeds() -> Vec<Vec<u8>> {
    let account = |more: &str| {
        let text = format!(
            "defaultaccount = \"main\"\n[[accounts]]\nname = \"main\"\nkey = \"EXOkey\"\nsecret = \"{SECRET}\"\n{more}"
        );
        text.into_bytes()
    };
    let endpoints =
        "endpoint = \"https://api-ch-gva-2.exoscale.com/v2\"\nsosEndpoint = \"https://sos-{zone}.exo.io\"\n";
    vec![
        account(""),
        account("defaultzone = \"at-vie-1\"\nenvironment = \"ppapi\"\nunknown = [1, {a = 2}]\n"),
        account(endpoints),
        account("[[accounts]]\nname = \"other\"\nsecretCommand = [\"pass\", \"x\"]\n"),
    ]
}

/// Environment, API endpoint and storage endpoint, one a line.
pub(crate) fn endpoint(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let mut lines = text.split('\n').map(|line| Some(line).filter(|line| !line.is_empty()));
    let mut line = || lines.next().flatten();
    match Endpoints::new(line(), line(), line()) {
        Ok(endpoints) => {
            check_endpoints(config(endpoints));
            true
        }
        Err(error) => {
            check_refusal(&error.to_string(), error.hint());
            false
        }
    }
}

/// Endpoints that are accepted can be sent to, and nowhere else.
fn check_endpoints(config: CloudConfig) {
    let base = config.endpoints.api(&config.zone);
    let told = base.contains(SECRET) || config.credentials.key().contains(SECRET);
    let nothing: Result<HttpResponse, Infallible> = Ok(http::Response::new(Bytes::from_static(b"{}")));
    let Ok(reply) = nothing;
    let (outcome, sent) = read(&config, &reply);
    assert!(outcome.is_ok(), "{base}: {outcome:?}");
    for request in sent {
        let uri = request.uri();
        let authority = uri.authority().expect("a request has an authority").as_str();
        assert!(matches!(uri.scheme_str(), Some("http" | "https")) && !authority.contains('@'), "{uri}");
        assert_eq!(uri.to_string(), format!("{base}/v2/thing?a=b"));
        assert!(told || !format!("{uri} {:?}", request.headers()).contains(SECRET));
    }
    let storage = config.endpoints.sos(&config.zone);
    assert!(storage.parse::<http::Uri>().is_ok_and(|uri| uri.authority().is_some()), "{storage}");
}

pub(crate) fn endpoint_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "api\nhttps://api-ch-gva-2.exoscale.com/v2\nhttps://sos-{zone}.exo.io",
        "ppapi\n\nhttp://127.0.0.1:8081/",
        "\nhttp://[::1]:8080/base/v2/\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
