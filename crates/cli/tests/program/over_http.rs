//! The same binary on the same path as with credentials of Exoscale: signed
//! requests over a socket, the account file's variables, the real client.

use crate::common::served::Served;
use serde_json::Value;

#[test]
fn t3_lives_and_dies_over_the_network() {
    let served = Served::new(Served::place(), &["--speed", "max"]);
    let approve = |person: &str| served.expect(0, &["approve", "store", "--as", person, "--yes"]);

    served.expect(3, &["up", "T3", "--name", "store"]);
    approve("alex");
    served.expect(0, &["watch", "store", "--once"]);
    let shown: Value = serde_json::from_str(&served.expect(0, &["show", "store", "-o", "json"])).unwrap();
    let resources = shown["resources"].as_array().unwrap();
    assert_eq!((resources.len(), &shown["phase"]), (34, &"ready".into()));
    assert!(resources.iter().all(|resource| resource["state"] == "ready"), "{shown}");
    served.expect(0, &["drift", "store"]);

    served.expect(3, &["down", "store"]);
    approve("alex");
    approve("kim");
    let gone = served.expect(0, &["watch", "store", "--once", "-o", "json"]);
    assert!(gone.contains("\"clean\": true") || gone.contains("\"clean\":true"), "{gone}");
    assert_eq!(served.expect(0, &["orphans", "-o", "json"]).trim(), "[]");
    served.expect(0, &["audit", "verify"]);
}
