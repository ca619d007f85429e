//! The service under virtual time, over sockets, and shared through a file.

use crate::common::{T0, signed};
use bytes::Bytes;
use exokit_sim::{
    Config, InProcess, LatencyTable, NowMs, Policies, Recorder, RoundTrip, ServeOptions, SharedWorld,
    SimError, Speed, World, serve,
};
use http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// Milliseconds that follow tokio's clock.
fn virtual_clock() -> NowMs {
    let start = tokio::time::Instant::now();
    Arc::new(move || T0 + i64::try_from(start.elapsed().as_millis()).unwrap())
}

fn config() -> Config {
    Config { latency: LatencyTable::fixed(), ..Config::default() }
}

fn post(world: &SharedWorld, path: &str, body: &Value) -> Request<Bytes> {
    let config = config();
    let pair = (config.api_key.as_str(), config.api_secret.as_str());
    signed(pair, "ch-dk-2", "POST", path, body, world.now_ms() / 1000 + 30)
}

#[tokio::test(start_paused = true)]
async fn requests_travel_and_operations_take_virtual_time() {
    let world = SharedWorld::in_memory(World::new(config()), virtual_clock());
    let service = InProcess::new(world.clone());
    let request = post(&world, "/sks-cluster", &crate::common::cluster_body("c"));
    let reply = service.clone().oneshot(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(world.now_ms(), T0 + 60);
    tokio::time::sleep(Duration::from_secs(118)).await;
    let live = world.with(|w| w.live()).unwrap();
    assert_eq!(live[0].state.as_deref(), Some("running"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_does_not_undo_anything() {
    for (patience_ms, late, expected) in [(45, None, 1), (15, None, 0), (15, Some(5_000), 1)] {
        let mut config = config();
        config.policies =
            Policies { cancelled_arrives_after_ms: late, ccm_keys: false, ..Policies::default() };
        let world = SharedWorld::in_memory(World::new(config), virtual_clock());
        let service = InProcess::new(world.clone());
        let request = post(&world, "/sks-cluster", &crate::common::cluster_body("c"));
        let patience = Duration::from_millis(patience_ms);
        let given_up = tokio::time::timeout(patience, service.oneshot(request)).await;
        assert!(given_up.is_err());
        tokio::time::sleep(Duration::from_secs(10)).await;
        let live = world.with(|w| w.live()).unwrap();
        assert_eq!(live.len(), expected, "patience {patience_ms}, late {late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_shared_by_two_worlds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    let clock = virtual_clock();
    let one = SharedWorld::in_file(&path, config(), clock.clone()).unwrap();
    let two = SharedWorld::in_file(&path, config(), clock).unwrap();
    for (number, world) in [&one, &two, &one, &one, &two].into_iter().enumerate() {
        let name = format!("g{number}");
        let request = post(world, "/security-group", &json!({"name": name}));
        let service = InProcess::new(world.clone()).with_round_trip(RoundTrip::ZERO);
        assert_eq!(service.send(request).await.unwrap().status(), 200);
        let names = |w: &SharedWorld| {
            let live = w.with(|w| w.live()).unwrap();
            live.into_iter().map(|r| r.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&one), names(&two));
        assert_eq!(names(&one).len(), number + 1);
    }
    std::fs::write(&path, "not json").unwrap();
    std::fs::write(folder.path().join("cloud.json.lock"), "99").unwrap();
    assert!(matches!(one.with(|_| ()), Err(SimError::Format { .. })));
}

#[tokio::test]
async fn a_server_announces_itself_and_stops() {
    let running = serve(ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        sos_listen: None,
        speed: Speed::Max,
        state: None,
        faults: None,
        record: None,
        control_plane: exokit_sim::ControlPlane::Simulated,
        config: config(),
        now: Arc::new(|| T0),
    })
    .await
    .unwrap();
    let line = running.announcement();
    assert_eq!(line["zone"], "ch-dk-2");
    let address = running.endpoint.trim_start_matches("http://").trim_end_matches("/v2");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let reply = exchange(&mut stream, "GET /v2/zone HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains(&running.endpoint), "{reply}");
    running.shutdown();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn exchanges_are_recorded_without_signature_and_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges");
    let world = SharedWorld::in_memory(World::new(config()), Arc::new(|| T0));
    let service = InProcess::new(world.clone())
        .with_round_trip(RoundTrip::ZERO)
        .recorded_by(Some(Recorder::append(&path).unwrap()));
    let role = post(&world, "/iam-role?x=1", &json!({"name": "r"}));
    let role = service.clone().oneshot(role).await.unwrap();
    let role: Value = serde_json::from_slice(role.body()).unwrap();
    let key = post(&world, "/api-key", &json!({"name": "k", "role-id": role["reference"]["id"]}));
    let reply = service.clone().oneshot(key).await.unwrap();
    let reply: Value = serde_json::from_slice(reply.body()).unwrap();

    let text = std::fs::read_to_string(&path).unwrap();
    for hidden in [reply["secret"].as_str().unwrap(), "EXO2-HMAC", "signature", &config().api_secret] {
        assert!(!hidden.is_empty() && !text.contains(hidden), "{hidden}");
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let asked = json!({"name": "r"});
    assert_eq!((lines.len(), &lines[0]["query"], &lines[0]["body"]), (2, &"x=1".into(), &asked));
    let seen = ["method", "path", "status", "type"].map(|key| lines[1][key].clone());
    let wanted = [json!("POST"), json!("/v2/api-key"), json!(200), json!("application/json; charset=utf-8")];
    assert_eq!(seen, wanted);
    let shown = (&lines[1]["reply"]["key"], &lines[1]["reply"]["secret"]);
    assert_eq!(shown, (&reply["key"], &"redacted".into()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_exchange_that_cannot_be_recorded_is_an_error() {
    let world = SharedWorld::in_memory(World::new(config()), Arc::new(|| T0));
    let recorder = Recorder::append(std::path::Path::new("/dev/full")).unwrap();
    let service = InProcess::new(world.clone()).with_round_trip(RoundTrip::ZERO);
    let request = post(&world, "/iam-role", &json!({"name": "r"}));
    let failed = service.recorded_by(Some(recorder)).oneshot(request).await;
    assert!(matches!(failed, Err(SimError::Record { .. })), "{failed:?}");
}

async fn exchange(stream: &mut tokio::net::TcpStream, request: &str) -> String {
    stream.writable().await.unwrap();
    stream.try_write(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    loop {
        stream.readable().await.unwrap();
        let mut buffer = [0; 4096];
        match stream.try_read(&mut buffer) {
            Ok(n) => {
                text.extend_from_slice(&buffer[..n]);
                return String::from_utf8(text).unwrap();
            }
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(why) => panic!("{why}"),
        }
    }
}

#[test]
fn speeds_are_read() {
    assert_eq!("max".parse::<Speed>().unwrap(), Speed::Max);
    assert_eq!("10".parse::<Speed>().unwrap(), Speed::Times(10.0));
    for text in ["0", "-1", "fast", "inf", "NaN"] {
        assert!(text.parse::<Speed>().is_err(), "{text}");
    }
}
