//! Tests of changes: sent once or not at all, and sorted into three cases.

use super::*;
use crate::testing::{Arrived, Step, after, reply, reply_with, scripted, zone};

fn create() -> ConcreteRequest {
    ConcreteRequest {
        operation: "create-security-group".into(),
        api: Api::Exoscale,
        method: Method::Post,
        path: "/v2/security-group".into(),
        body: br#"{"name":"demo"}"#.to_vec(),
        secrets: std::collections::BTreeMap::new(),
    }
}

fn storage_request(method: Method, body: &str) -> ConcreteRequest {
    ConcreteRequest {
        operation: "some-operation".into(),
        api: Api::Storage,
        method,
        path: "/my-bucket".into(),
        body: body.into(),
        secrets: std::collections::BTreeMap::new(),
    }
}

fn allow(request: &ConcreteRequest) -> Allowed {
    Allowed { request: request.digest(), deadline: after(30) }
}

async fn run(steps: Vec<Step>, request: &ConcreteRequest) -> (Result<Reply, MutationError>, Arrived) {
    let (client, arrived) = scripted(steps);
    (client.mutate_allowed(&allow(request), &zone(), request, after(30)).await, arrived)
}

fn count(arrived: &Arrived) -> usize {
    arrived.lock().unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_permitted_change_is_sent_once_exactly_as_it_stands() {
    let body = r#"{"id":"op","state":"pending","reference":{"id":"sg"}}"#;
    let (outcome, arrived) = run(vec![reply(200, body)], &create()).await;
    assert_eq!(outcome.unwrap().value()["reference"]["id"], "sg");
    let arrived = arrived.lock().unwrap();
    let (_, request) = &arrived[0];
    assert_eq!(arrived.len(), 1);
    assert_eq!((request.method(), request.body().as_ref()), (&http::Method::POST, &create().body[..]));
    let header = request.headers()["authorization"].to_str().unwrap();
    assert!(header.contains(&format!("expires={},", after(30).as_second())), "{header}");
}

#[tokio::test(start_paused = true)]
async fn another_request_than_the_permitted_one_is_not_sent() {
    let (client, arrived) = scripted(vec![]);
    let allowed = allow(&create());
    for alter in [
        |r: &mut ConcreteRequest| r.body.push(b' '),
        |r: &mut ConcreteRequest| r.path.push('x'),
        |r: &mut ConcreteRequest| r.method = Method::Delete,
        |r: &mut ConcreteRequest| r.api = Api::Storage,
    ] {
        let mut other = create();
        alter(&mut other);
        let error = client.mutate_allowed(&allowed, &zone(), &other, after(30)).await.unwrap_err();
        assert!(
            matches!(error, MutationError::NotSent { why: NotSent::OtherRequest { .. }, .. }),
            "{error:?}"
        );
    }
    assert_eq!(count(&arrived), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_too_late_or_beyond_the_permit() {
    let (client, arrived) = scripted(vec![]);
    let allowed = allow(&create());
    let error = client.mutate_allowed(&allowed, &zone(), &create(), after(31)).await.unwrap_err();
    assert!(matches!(error, MutationError::NotSent { why: NotSent::OutlivesPermit { .. }, .. }));
    tokio::time::sleep(Duration::from_millis(28_500)).await;
    let error = client.mutate_allowed(&allowed, &zone(), &create(), after(30)).await.unwrap_err();
    assert!(matches!(error, MutationError::NotSent { why: NotSent::TooLate { .. }, .. }));
    assert_eq!(count(&arrived), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_wait_in_the_budget_beyond_its_expiry() {
    let (client, arrived) = scripted(vec![]);
    client.inner.budget.pause(Duration::from_secs(200));
    let start = tokio::time::Instant::now();
    let outcome = client.mutate_allowed(&allow(&create()), &zone(), &create(), after(30)).await;
    assert!(matches!(outcome, Err(MutationError::NotSent { why: NotSent::TooLate { .. }, .. })));
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(count(&arrived), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_not_sent_and_not_repeated() {
    let (outcome, arrived) = run(vec![Step::Refuse], &create()).await;
    assert!(matches!(outcome, Err(MutationError::NotSent { why: NotSent::Transport(_), .. })));
    assert_eq!(count(&arrived), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_in_doubt_before_the_signature_expires() {
    for step in [Step::Reset, Step::Silence] {
        let start = tokio::time::Instant::now();
        let (outcome, arrived) = run(vec![step], &create()).await;
        assert!(matches!(outcome, Err(MutationError::InDoubt { why: InDoubt::Transport(_), .. })));
        assert_eq!(count(&arrived), 1);
        assert!(start.elapsed() <= Duration::from_secs(28), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_proves_nothing_is_in_doubt() {
    let gateway = "<html>Bad Request</html>";
    for (status, body) in [
        (500, r#"{"message":"x"}"#),
        (501, ""),
        (502, gateway),
        (503, "plain"),
        (504, ""),
        (302, ""),
        (408, r#"{"message":"x"}"#),
        (400, gateway),
        (403, gateway),
    ] {
        let (outcome, arrived) = run(vec![reply(status, body)], &create()).await;
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, MutationError::InDoubt { why: InDoubt::Status { .. }, .. }),
            "{status} {error:?}"
        );
        assert_eq!(count(&arrived), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_useless_success_is_in_doubt() {
    for body in ["", "{\"id\":", "[]", "ok"] {
        let (outcome, arrived) = run(vec![reply(200, body)], &create()).await;
        assert!(matches!(outcome, Err(MutationError::InDoubt { why: InDoubt::Body(_), .. })), "{body}");
        assert_eq!(count(&arrived), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_s_own_refusal_is_definite_and_not_repeated() {
    for expected in DEFINITE_REFUSALS {
        for body in [r#"{"message":"no"}"#, r#"{"error":"no"}"#, r#"{"title":"no"}"#, ""] {
            let (outcome, arrived) = run(vec![reply(expected, body)], &create()).await;
            let Err(MutationError::Refused { status, message, .. }) = outcome else {
                panic!("{expected} {body}")
            };
            assert_eq!(status, expected);
            assert_eq!(message, if body.is_empty() { "no message" } else { "no" });
            assert_eq!(count(&arrived), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_is_refused_with_the_time_to_wait() {
    let step = reply_with(429, "retry-after", "9", "Too Many Requests");
    let (outcome, arrived) = run(vec![step], &create()).await;
    let Err(MutationError::Refused { status: 429, retry_after, .. }) = outcome else { panic!() };
    assert_eq!((retry_after, count(&arrived)), (Some(Duration::from_secs(9)), 1));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_made_and_deleted() {
    let (outcome, arrived) =
        run(vec![reply(200, "")], &storage_request(Method::Put, r#"{"acl":"private"}"#)).await;
    assert!(outcome.unwrap().value().is_null());
    let (_, made) = arrived.lock().unwrap().remove(0);
    assert_eq!((made.method(), made.body().len()), (&http::Method::PUT, 0));
    assert!(made.uri().to_string().contains("X-Amz-Expires=30&"), "{}", made.uri());
    let taken = "<Error><Code>BucketAlreadyExists</Code><Message>taken</Message></Error>";
    let (outcome, _) =
        run(vec![reply(409, taken)], &storage_request(Method::Put, r#"{"acl":"private"}"#)).await;
    assert!(
        matches!(outcome, Err(MutationError::Refused { message, .. }) if message.contains("AlreadyExists"))
    );
    let (outcome, arrived) = run(vec![reply(204, "")], &storage_request(Method::Delete, "")).await;
    assert!(outcome.is_ok());
    assert_eq!(arrived.lock().unwrap()[0].1.method(), http::Method::DELETE);
}

#[tokio::test(start_paused = true)]
async fn an_unplanned_storage_request_is_not_sent() {
    for request in [storage_request(Method::Put, ""), storage_request(Method::Delete, "x")] {
        let (outcome, arrived) = run(vec![], &request).await;
        assert!(matches!(outcome, Err(MutationError::NotSent { why: NotSent::Request(_), .. })));
        assert_eq!(count(&arrived), 0);
    }
}

fn versions(keys: &[&str], next: Option<&str>) -> Step {
    let list: String =
        keys.iter().map(|k| format!("<Version><Key>{k}</Key><VersionId>1</VersionId></Version>")).collect();
    let more = next.map_or(String::new(), |key| {
        format!("<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>")
    });
    reply(200, format!("<ListVersionsResult>{list}{more}</ListVersionsResult>"))
}

fn uploads(keys: &[&str]) -> Step {
    let list: String =
        keys.iter().map(|k| format!("<Upload><Key>{k}</Key><UploadId>u</UploadId></Upload>")).collect();
    reply(200, format!("<ListMultipartUploadsResult>{list}</ListMultipartUploadsResult>"))
}

const DELETED: &str = "<DeleteResult/>";

#[tokio::test(start_paused = true)]
async fn a_bucket_is_emptied_page_by_page_with_its_uploads() {
    let steps = vec![
        versions(&["a", "b"], Some("b")),
        reply(200, DELETED),
        versions(&["c"], None),
        reply(200, DELETED),
        uploads(&["d"]),
        reply(204, ""),
    ];
    let (outcome, arrived) = run(steps, &storage_request(Method::Post, "")).await;
    outcome.unwrap();
    let arrived = arrived.lock().unwrap();
    let shape: Vec<_> =
        arrived.iter().map(|(_, r)| (r.method().as_str(), r.uri().path().to_owned())).collect();
    let bucket = "/my-bucket".to_owned();
    assert_eq!(
        shape,
        [
            ("GET", bucket.clone()),
            ("POST", bucket.clone()),
            ("GET", bucket.clone()),
            ("POST", bucket.clone()),
            ("GET", bucket),
            ("DELETE", "/my-bucket/d".to_owned()),
        ]
    );
    assert!(arrived[1].1.headers().contains_key("content-md5"));
    assert!(arrived[2].1.uri().query().unwrap().contains("key-marker=b"));
}

#[tokio::test(start_paused = true)]
async fn emptying_that_stops_half_way_says_so() {
    let request = storage_request(Method::Post, "");
    let first = || vec![versions(&["a", "b"], Some("b")), reply(200, DELETED)];
    let with = |last: Step| first().into_iter().chain([last]).collect::<Vec<_>>();

    let (outcome, _) = run(with(versions(&["c"], Some("b"))), &request).await;
    assert!(matches!(outcome, Err(MutationError::InDoubt { why: InDoubt::Unfinished { removed: 2 }, .. })));
    let (outcome, _) = run(with(reply(403, "")), &request).await;
    assert!(matches!(outcome, Err(MutationError::Refused { status: 403, .. })));
    let (outcome, _) = run(vec![versions(&["a"], None), Step::Reset], &request).await;
    assert!(matches!(outcome, Err(MutationError::InDoubt { why: InDoubt::Transport(_), .. })));
    let (outcome, _) = run(vec![reply(200, "<html/>")], &request).await;
    assert!(matches!(outcome, Err(MutationError::NotSent { why: NotSent::Read(_), .. })));
    let (outcome, _) = run(vec![reply(404, "")], &request).await;
    assert!(matches!(outcome, Err(MutationError::Refused { status: 404, .. })));
}

#[tokio::test(start_paused = true)]
async fn objects_that_cannot_be_deleted_are_reported() {
    let locked = "<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>";
    let steps = vec![versions(&["a"], None), reply(200, locked)];
    let (outcome, _) = run(steps, &storage_request(Method::Post, "")).await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, MutationError::Refused { message, .. } if message.contains("AccessDenied locked"))
    );
}
