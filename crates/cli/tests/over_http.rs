//! The same binary on the same path as with credentials of Exoscale: signed
//! requests over a socket, the account file's variables, the real client.

mod common;

use common::Place;
use common::served::Served;
use serde_json::Value;

#[test]
fn t3_lives_and_dies_over_the_network() {
    let place = Place::with_roster();
    // The roster was made on the embedded cloud, which nothing has been asked
    // of yet; this directory is for another one.
    std::fs::remove_file(place.path("state.json")).unwrap();
    let served = Served::new(place, &["--speed", "max"]);
    let expect = |code: i32, args: &[&str]| {
        let ended = served.run(&[], args);
        assert_eq!(ended.code, code, "exokit {}\n{}\n{}", args.join(" "), ended.out, ended.err);
        ended.out
    };
    let approve = |person: &str| expect(0, &["approve", "store", "--as", person, "--yes"]);

    expect(3, &["up", "T3", "--name", "store"]);
    approve("alex");
    expect(0, &["watch", "store", "--once"]);
    let shown: Value = serde_json::from_str(&expect(0, &["show", "store", "-o", "json"])).unwrap();
    let resources = shown["resources"].as_array().unwrap();
    assert_eq!((resources.len(), &shown["phase"]), (12, &"ready".into()));
    assert!(resources.iter().all(|resource| resource["state"] == "ready"), "{shown}");
    expect(0, &["drift", "store"]);

    expect(3, &["down", "store"]);
    approve("alex");
    approve("kim");
    let gone = expect(0, &["watch", "store", "--once", "-o", "json"]);
    assert!(gone.contains("\"clean\": true") || gone.contains("\"clean\":true"), "{gone}");
    assert_eq!(expect(0, &["orphans", "-o", "json"]).trim(), "[]");
    expect(0, &["audit", "verify"]);
}
