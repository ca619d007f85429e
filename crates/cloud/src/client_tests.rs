//! Tests of reads: repeating, waiting, refusing, measuring.

use super::*;
use crate::testing::{Step, reply, reply_with, scripted, zone};

const PATH: &str = "/v2/security-group";

#[tokio::test(start_paused = true)]
async fn a_read_is_signed_and_list_zones_is_not() {
    let (client, arrived) = scripted(vec![reply(200, "{}"), reply(200, "{}")]);
    client.read(&zone(), "list-security-groups", PATH).await.unwrap();
    client.read(&zone(), "list-zones", "/v2/zone").await.unwrap();
    let arrived = arrived.lock().unwrap();
    let (signed, unsigned) = (&arrived[0].1, &arrived[1].1);
    assert_eq!(signed.uri().to_string(), "https://api-ch-dk-2.exoscale.com/v2/security-group");
    let header = signed.headers()["authorization"].to_str().unwrap();
    assert!(header.starts_with("EXO2-HMAC-SHA256 credential=EXOkey,expires=1795428600,"), "{header}");
    assert!(unsigned.headers().get("authorization").is_none());
}

#[tokio::test(start_paused = true)]
async fn faults_that_pass_are_tried_again() {
    let steps = vec![reply(500, "oops"), Step::Reset, Step::Refuse, Step::Silence, reply(200, r#"{"a":1}"#)];
    let (client, arrived) = scripted(steps);
    let reply = client.read(&zone(), "list-security-groups", PATH).await.unwrap();
    assert_eq!(reply.value()["a"], 1);
    let times: Vec<f64> = arrived.lock().unwrap().iter().map(|(at, _)| *at).collect();
    // Half a second, one, two, then 30 s of silence and four.
    assert_eq!(times, [0.0, 0.5, 1.5, 3.5, 37.5]);
    let counts = [("failed", 1), ("silent", 3), ("done", 1)];
    assert_eq!(client.calls(), counts.map(|(name, n)| (("list-security-groups".to_owned(), name), n)).into());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_limited() {
    let (client, arrived) =
        scripted((0..READ_ATTEMPTS_MAX).map(|_| reply(503, "down for a moment")).collect());
    let error = client.read(&zone(), "get-quota", "/v2/quota/x").await.unwrap_err();
    assert_eq!(arrived.lock().unwrap().len(), READ_ATTEMPTS_MAX as usize);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("503") && source.contains("down for a moment"), "{source}");
    assert!(!error.hint().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again() {
    for (status, body) in [
        (404, r#"{"message":"Not Found"}"#),
        (403, r#"{"error":"Not Found"}"#),
        (400, r#"{"title":"Not Found"}"#),
        (501, "Not Found"),
        (302, "Not Found"),
    ] {
        let (client, arrived) = scripted(vec![reply(status, body)]);
        let error = client.read(&zone(), "x", PATH).await.unwrap_err();
        assert_eq!(error.is_not_found(), status == 404);
        assert!(matches!(error, CallError::Refused { message, .. } if message == "Not Found"));
        assert_eq!(arrived.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_makes_everyone_wait() {
    let steps = vec![
        reply_with(429, "retry-after", "20", r#"{"error":"slow down"}"#),
        reply(200, "{}"),
        reply(200, "{}"),
    ];
    let (client, arrived) = scripted(steps);
    let other = client.clone();
    let zone = zone();
    let first = client.read(&zone, "list-quotas", "/v2/quota");
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        other.read(&zone, "list-zones", "/v2/zone").await
    };
    let (first, second) = tokio::join!(biased; first, second);
    assert!(first.is_ok() && second.is_ok());
    assert!(arrived.lock().unwrap()[1..].iter().all(|(at, _)| *at >= 20.0));
}

#[tokio::test(start_paused = true)]
async fn the_body_may_ask_to_wait_as_well() {
    let (client, arrived) = scripted(vec![reply(429, r#"{"error":"x","retry_after":7}"#), reply(200, "{}")]);
    client.read(&zone(), "get-live-balance", "/v2/live-balance").await.unwrap();
    assert!(arrived.lock().unwrap()[1].0 >= 7.0);
}

#[tokio::test(start_paused = true)]
async fn a_useless_success_is_an_error() {
    for body in ["", "{\"cut", "[]", "<html>"] {
        let (client, _) = scripted(vec![reply(200, body)]);
        let error = client.read(&zone(), "list-quotas", "/v2/quota").await.unwrap_err();
        assert!(matches!(error, CallError::Decode(_)), "{body}: {error:?}");
    }
    let (client, arrived) = scripted(vec![reply(200, vec![b' '; REPLY_BYTES_MAX + 1])]);
    let error = client.read(&zone(), "list-quotas", "/v2/quota").await.unwrap_err();
    assert!(error.to_string().contains("failed 1 times"), "{error}");
    assert_eq!(arrived.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_skew_of_the_clocks_is_measured() {
    let (client, _) =
        scripted(vec![reply(200, "{}"), reply_with(404, "date", "Mon, 23 Nov 2026 09:59:00 GMT", "")]);
    client.read(&zone(), "x", PATH).await.unwrap();
    assert_eq!(client.skew(), None);
    client.read(&zone(), "x", PATH).await.unwrap_err();
    assert_eq!(client.skew().unwrap().ahead.as_millis(), -59_500);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_asked_for_with_head() {
    let (client, arrived) = scripted(vec![reply(200, ""), reply(404, ""), reply(403, "")]);
    assert!(client.head_bucket(&zone(), "/my-bucket").await.unwrap().value().is_null());
    assert!(client.head_bucket(&zone(), "/my-bucket").await.unwrap_err().is_not_found());
    let foreign = client.head_bucket(&zone(), "/my-bucket").await;
    assert!(matches!(foreign, Err(CallError::Refused { status: 403, .. })));
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived[0].1.method(), http::Method::HEAD);
    let uri = arrived[0].1.uri().to_string();
    assert!(uri.starts_with("https://sos-ch-dk-2.exo.io/my-bucket?X-Amz-"), "{uri}");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_cannot_be_sent_sends_nothing() {
    let (client, arrived) = scripted(vec![]);
    let error = client.read(&zone(), "get-x", "/v2/../admin").await.unwrap_err();
    assert!(matches!(error, CallError::Request { .. }));
    assert!(arrived.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_debug_form_shows_the_secret() {
    let (client, _) = scripted(vec![]);
    assert!(!format!("{client:?}").contains("secret"));
}
