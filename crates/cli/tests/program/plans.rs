//! Selection, plans and run files: what would be made, and what it costs.

use crate::common::{Place, run_file};
use serde_json::{Value, json};

#[test]
fn a_plan_has_the_promised_shape_and_changes_nothing() {
    let place = Place::new();
    let file = place.path("plan.json");
    let plan =
        place.json(0, &["plan", "T3", "--name", "store", "--ttl", "8h", "--out", file.to_str().unwrap()]);
    for key in
        ["plan_id", "digest", "environment", "template", "zone", "level", "band", "critical_path_seconds"]
    {
        assert!(!plan[key].is_null(), "{key}");
    }
    let cost = &plan["cost"];
    for key in ["hourly", "monthly", "ttl"] {
        assert!(cost[key].is_string(), "{key}: {cost}");
    }
    assert!(!cost["unknown"].as_array().unwrap().is_empty());
    for key in ["resources", "corrections", "destroys"] {
        assert!(plan[key].is_array(), "{key}");
    }
    let resource = &plan["resources"][1];
    for key in ["key", "kind", "name", "depends_on", "predicted_seconds"] {
        assert!(!resource[key].is_null(), "{key}: {resource}");
    }
    // The file is what the digest is over.
    let text = std::fs::read(&file).unwrap();
    let written: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(written["plan_id"], plan["plan_id"]);
    let sum = std::process::Command::new("sha256sum").arg(&file).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(sum.split(' ').next(), plan["digest"].as_str());
    assert_eq!(place.json(0, &["list", "--all"]), json!([]));
    assert_eq!(place.json(0, &["audit", "verify"])["records"], 0);
}

#[test]
fn a_plan_can_be_read_by_people() {
    let place = Place::with_roster();
    let text = place.expect(0, &["plan", "T3", "--ttl", "8h"]).out;
    for part in [
        "RESOURCE",
        "critical path",
        "├─ nodepool",
        "per hour",
        "per 720 h",
        "for 8 h",
        "unknown price: dbaas/pg/startup-4",
        "Approval level 2",
        "may approve: alex (platform), kim (finance)",
        "Destroys nothing",
        "takes back what it made itself",
        "Digest ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn objects_of_a_plan_are_grouped_by_application_with_their_images_and_secrets() {
    let place = Place::new();
    let plan = ["plan", "T7", "--name", "big", "--registry-login", "corp"];
    let refused = place.expect(1, &plan);
    assert!(refused.err.contains("registry-logins/corp.json"), "{}", refused.err);
    std::fs::create_dir(place.path("registry-logins")).unwrap();
    let login = r#"{"auths":{"registry.example":{"auth":"ZGFuYTpodW50ZXIy"}}}"#;
    std::fs::write(place.path("registry-logins/corp.json"), login).unwrap();
    let text = place.expect(0, &plan).out;
    let (table, objects) = text.split_once("Makes 23 objects in the cluster").expect(&text);
    let (objects, order) = objects.split_once("Order, done after").expect(objects);
    assert!(table.contains("nodepool") && !table.contains("deployment") && order.contains("workload"));
    let groups: Vec<&str> = objects
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split(' ').next().filter(|group| !group.is_empty()))
        .collect();
    assert_eq!(groups[..4], ["APP", "all", "exokit-traefik", "stargate-full"], "{objects}");
    for part in ["docker.io/library/traefik:v", "sha256:", "hello-app:1.0", "none (the tag may move)"] {
        assert!(objects.contains(part), "{part}: {objects}");
    }
    for part in [".dockerconfigjson", "registry-login", "database-password", "secret-key"] {
        assert!(objects.contains(part), "{part}: {objects}");
    }
    assert!(!text.contains("ZGFuYTpodW50ZXIy"));
}

#[test]
fn every_run_file_names_its_template_and_reports_corrections() {
    let place = Place::new();
    for number in 1..=7 {
        let template = format!("T{number}");
        let plan = place.json(0, &["plan", "-f", &run_file(&template)]);
        assert_eq!(plan["template"], template.as_str());
        let corrections = plan["corrections"].as_array().unwrap();
        assert!(!corrections.is_empty(), "{template}");
        for key in ["field", "from", "to", "why"] {
            assert!(corrections[0][key].is_string(), "{key}");
        }
    }
}

#[test]
fn a_run_file_can_be_provisioned_under_another_name() {
    let place = Place::with_roster().at_speed("max");
    let file = run_file("T1");
    let args = ["up", "-f", &file, "--name", "renamed", "--zone", "at-vie-1", "--level", "2"];
    let ended = place.expect(3, &args);
    assert!(ended.err.contains("corrected node_type_size: tiny -> small"), "{}", ended.err);
    place.approve("renamed", "alex");
    place.expect(0, &["watch", "renamed", "--once"]);
    let shown = place.json(0, &["show", "renamed"]);
    assert_eq!((&shown["zone"], &shown["phase"]), (&"at-vie-1".into(), &"ready".into()));
}

#[test]
fn the_cheapest_that_satisfies_is_selected_and_explained() {
    let place = Place::new();
    let selected = place.json(0, &["select", "--database", "pg", "--object-storage"]);
    for key in ["template", "level", "band", "hourly", "currency", "explanation"] {
        assert!(!selected[key].is_null(), "{key}");
    }
    assert_eq!(selected["template"], "T3");
    let explained = selected["explanation"].as_array().unwrap();
    assert_eq!(explained.len(), 7);
    for key in ["template", "satisfied", "failed", "hourly"] {
        assert!(!explained[0][key].is_null(), "{key}");
    }
    let table = place.expect(0, &["select", "--isolation"]).out;
    assert!(table.starts_with("T5-security-hardened"), "{table}");
    let plan = place.json(0, &["plan", "--database", "valkey"]);
    assert_eq!(plan["template"], "T2");
}

#[test]
fn requirements_can_come_from_a_file() {
    let place = Place::new();
    let file = place.path("needs.yaml");
    std::fs::write(&file, "database: pg\nblock_storage_gib: 80\n").unwrap();
    let selected = place.json(0, &["select", "-f", file.to_str().unwrap()]);
    assert_eq!(selected["template"], "T4");
    std::fs::write(&file, "database: pg\nblock_storage: 80\n").unwrap();
    let error = place.error(2, &["select", "-f", file.to_str().unwrap()]);
    assert!(error["why"].as_str().unwrap().contains("needs.yaml:2:1: block_storage: unknown key"), "{error}");
}

#[test]
fn what_none_satisfies_is_refused_with_the_nearest() {
    let place = Place::new();
    let error = place.error(1, &["select", "--database", "pg", "--isolation"]);
    assert!(error["why"].as_str().unwrap().contains("comes nearest"), "{error}");
    let error = place.error(1, &["plan", "T1", "--database", "pg"]);
    assert!(error["why"].as_str().unwrap().contains("T1"), "{error}");
}

#[test]
fn a_higher_level_can_be_asked_for_and_production_raises_it() {
    let place = Place::new();
    assert_eq!(place.json(0, &["plan", "T1"])["level"], 1);
    assert_eq!(place.json(0, &["plan", "T1", "--level", "3"])["level"], 3);
    assert_eq!(place.json(0, &["plan", "T1", "--class", "production"])["level"], 2);
    assert_eq!(place.json(0, &["plan", "T3", "--level", "1"])["level"], 2);
}

#[test]
fn templates_and_prices_of_the_state_directory_count() {
    let place = Place::new();
    std::fs::create_dir(place.path("templates")).unwrap();
    let text =
        std::fs::read_to_string(crate::common::repository().join("templates/T1-minimal-test.yaml")).unwrap();
    let own = text.replace("id: T1", "id: T8").replace("name: minimal-test", "name: own-test");
    std::fs::write(place.path("templates/T8-own-test.yaml"), own).unwrap();
    assert_eq!(place.json(0, &["plan", "own-test"])["template"], "T8");
    let prices = "date: '2026-11-01'\nsource: a test\ncurrency: EUR\nhourly:\n  nlb: '2'\n";
    std::fs::write(place.path("prices.yaml"), prices).unwrap();
    assert_eq!(place.json(0, &["plan", "T1"])["cost"]["currency"], "EUR");
}
