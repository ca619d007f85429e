//! The price list, and what the templates cost by it.

use std::collections::BTreeMap;

use exokit_core::cost::{band, estimate};
use exokit_core::select::{Priced, select};
use exokit_model::cost::CostPolicy;
use exokit_model::selection::Requirements;
use exokit_templates::{TemplateSet, prices};

#[test]
fn every_template_has_a_price_with_its_assumptions_named() {
    let list = prices::embedded().unwrap();
    let rows: Vec<String> = TemplateSet::embedded()
        .unwrap()
        .iter()
        .map(|template| {
            let cost = estimate(template.defaults(), &list);
            let unknown: Vec<&str> = cost.unknown.iter().map(|u| u.item.raw()).collect();
            let band = band(cost.hourly, &CostPolicy::default());
            format!("{} {} {band} {}", template.id, cost.hourly, unknown.join(" "))
        })
        .collect();
    assert_eq!(
        rows,
        [
            "T1 0.02613 LOW ",
            "T2 0.219667 HIGH dbaas/valkey/startup-4",
            "T3 0.226667 HIGH dbaas/pg/startup-4 block/gib",
            "T4 0.500597 HIGH dbaas/pg/startup-4 block/gib",
            "T5 0.08978 MEDIUM ",
            "T6 0.278927 HIGH dbaas/pg/startup-4 block/gib",
            "T7 0.332587 HIGH dbaas/pg/startup-4 block/gib",
        ]
    );
}

#[test]
fn a_list_of_ones_own_raises_prices_and_adds_some() {
    let known = prices::embedded().unwrap();
    let text = "date: '2026-11-01'\nsource: a test\ncurrency: CHF\nhourly:\n  nlb: '0.01'\n  sks/starter: '9'\n  new: '1'\n";
    let own = prices::decode("own.yaml", text).unwrap();
    let used = prices::never_below(own.clone(), &known).hourly;
    assert!(
        own.hourly["nlb"] < known.hourly["nlb"] && own.hourly["sks/starter"] > known.hourly["sks/starter"]
    );
    assert_eq!(used["nlb"], known.hourly["nlb"]);
    assert_eq!([&used["sks/starter"], &used["new"]], [&own.hourly["sks/starter"], &own.hourly["new"]]);
    assert_eq!(used.len(), 3, "what it does not have stays unknown, and is assumed to be dear");
}

#[test]
fn requests_get_the_cheapest_template_that_has_everything() {
    #[track_caller]
    fn check(json: &str, expected: &str) {
        let requirements: Requirements = serde_json::from_str(json).unwrap();
        let candidates = TemplateSet::embedded().unwrap().candidates();
        let priced = Priced::new(candidates, &prices::embedded().unwrap());
        let answer = match select(&requirements, &priced, &CostPolicy::default()) {
            Ok(chosen) => format!("{} level {} {}", chosen.template, chosen.level, chosen.zone),
            Err(error) => error.to_string(),
        };
        assert_eq!(answer, expected, "{json}");
    }
    check("{}", "T1 level 1 ch-dk-2");
    check(r#"{"database":"valkey"}"#, "T2 level 2 ch-dk-2");
    check(r#"{"database":"pg"}"#, "T3 level 2 ch-dk-2");
    check(r#"{"object_storage":true,"block_storage_gib":20}"#, "T6 level 2 ch-dk-2");
    check(r#"{"node_cpus":4}"#, "T4 level 3 ch-dk-2");
    check(r#"{"isolation":true,"class":"production"}"#, "T5 level 2 ch-dk-2");
    check(r#"{"observability":true,"country":"DE"}"#, "T6 level 2 de-fra-1");
    check(r#"{"replicas_max":20}"#, "T7 level 3 ch-dk-2");
    check(r#"{"agents":["librarian","data-analyst"]}"#, "T7 level 3 ch-dk-2");
    check(r#"{"agents":["librarian"],"zone":"at-vie-2"}"#, "T3 level 2 at-vie-2");
    check(
        r#"{"template":"T1","database":"pg"}"#,
        "no template satisfies the request; T1 comes nearest but has no database pg",
    );
    check(
        r#"{"country":"US"}"#,
        "no template satisfies the request; T1 comes nearest but cannot be made in country US",
    );
    check(r#"{"template":"T9"}"#, "there is no template T9");
    check(
        r#"{"zone":"ch-dk-2","country":"DE"}"#,
        "the requirements contradict each other: zone ch-dk-2 and country DE",
    );
}

#[test]
fn a_list_can_be_written_and_read_back() {
    let list = prices::embedded().unwrap();
    let text = prices::encode(&list).unwrap();
    let again = prices::decode("again.yaml", &text).unwrap();
    assert_eq!(list, again);
    assert_eq!(prices::digest(&list).unwrap(), prices::digest(&again).unwrap());
    let mut dearer = list.clone();
    dearer.hourly = BTreeMap::new();
    assert_ne!(prices::digest(&list).unwrap(), prices::digest(&dearer).unwrap());
}

#[test]
fn a_price_is_a_plain_decimal_from_zero_up() {
    #[track_caller]
    fn check(price: &str, expected: Option<&str>) {
        let text = format!("date: '2026-10-01'\nsource: s\ncurrency: CHF\nhourly: {{nlb: {price}}}");
        let found = prices::decode("p.yaml", &text);
        match expected {
            Some(expected) => assert_eq!(found.unwrap().hourly["nlb"].to_string(), expected),
            None => {
                let error = found.unwrap_err();
                assert_eq!((error.line, error.column), (4, 15), "{price}: {error}");
            }
        }
    }
    check("'0.03472'", Some("0.03472"));
    check("0.03472", Some("0.03472"));
    check("0.10", Some("0.1"));
    check("0", Some("0"));
    for price in ["-1", "1e3", "'1e3'", "abc", "'0,5'", "99999999", "''", "true", "0.00000000001", "'1_0'"] {
        check(price, None);
    }
}
