//! Every row of the table of templates has a check, and each check expects what
//! the table says. The table is written out here: nothing in it is computed.

use exokit_verification::{Evidence, checks};

use crate::shipped;

/// A row: what it promises, the number of the check (`U` or that of the
/// template), and what the check expects of T1 to T7.
type Row = (&'static str, &'static str, [&'static str; 7]);

const TABLE: &[Row] = &[
    ("nodes", "U04", ["1", "2", "2", "3", "2", "2", "3"]),
    ("nodes in the nodepool", "01", ["1", "2", "2", "3", "2", "2", "3"]),
    (
        "size of the nodes",
        "U05",
        [
            "standard.small",
            "standard.small",
            "standard.small",
            "standard.large",
            "standard.small",
            "standard.medium",
            "standard.medium",
        ],
    ),
    ("disk GB", "02", ["20 GiB", "30 GiB", "50 GiB", "100 GiB", "30 GiB", "50 GiB", "50 GiB"]),
    (
        "database",
        "03",
        [
            "none",
            "valkey any, startup-4",
            "pg 16, startup-4",
            "pg 16, startup-4",
            "none",
            "pg 16, startup-4",
            "pg 16, startup-4",
        ],
    ),
    (
        "bucket",
        "04",
        [
            "none",
            "none",
            "ENV-state, private",
            "ENV-analytics, private",
            "none",
            "ENV-telemetry, private",
            "ENV-integration, private",
        ],
    ),
    (
        "block storage at /data",
        "05",
        [
            "none",
            "none",
            "10 GiB, ReadWriteOnce",
            "100 GiB, ReadWriteOnce",
            "none",
            "50 GiB, ReadWriteOnce",
            "50 GiB, ReadWriteOnce",
        ],
    ),
    (
        "namespace",
        "U06",
        [
            "exo-stargate-test: Active",
            "exo-stargate-orch: Active",
            "exo-stargate-store: Active",
            "exo-stargate-compute: Active",
            "exo-stargate-security: Active",
            "exo-stargate-obs: Active",
            "exo-stargate-integration: Active",
        ],
    ),
    (
        "port / NodePort",
        "07",
        [
            "5000 / 30001",
            "8080 / 30002",
            "5000 / 30003",
            "5000 / 30004",
            "5000 / 30005",
            "3000 / 30006",
            "5000 / 30007",
        ],
    ),
    (
        "replicas, HPA",
        "08",
        [
            "1 available, no autoscaler",
            "2 or more available, 2 to 8",
            "2 or more available, 2 to 6",
            "2 or more available, 2 to 15",
            "2 or more available, 2 to 4",
            "2 or more available, 2 to 6",
            "3 or more available, 3 to 20",
        ],
    ),
    (
        "HPA cpu/mem %",
        "09",
        [
            "none",
            "cpu 65 %, memory 75 %",
            "cpu 70 %, memory 80 %",
            "cpu 60 %, memory 70 %",
            "cpu 75 %, memory 80 %",
            "cpu 70 %, memory 75 %",
            "cpu 65 %, memory 75 %",
        ],
    ),
    (
        "limits cpu/memory",
        "10",
        [
            "500m CPU, 512Mi of memory",
            "800m CPU, 768Mi of memory",
            "1 CPU, 1Gi of memory",
            "2 CPU, 4Gi of memory",
            "500m CPU, 512Mi of memory",
            "1500m CPU, 2Gi of memory",
            "1500m CPU, 2Gi of memory",
        ],
    ),
    (
        "requests cpu/memory",
        "11",
        [
            "100m CPU, 128Mi of memory",
            "150m CPU, 256Mi of memory",
            "200m CPU, 256Mi of memory",
            "500m CPU, 1Gi of memory",
            "100m CPU, 128Mi of memory",
            "300m CPU, 512Mi of memory",
            "300m CPU, 512Mi of memory",
        ],
    ),
    (
        "PDB min available",
        "12",
        ["none", "1 available", "1 available", "2 available", "1 available", "1 available", "2 available"],
    ),
    (
        "NLB, ingress + TLS",
        "13",
        [
            "0 load balancers, no ingress",
            "1 load balancer, ingress traefik, with TLS",
            "1 load balancer, ingress traefik, with TLS",
            "1 load balancer, ingress traefik, with TLS",
            "1 load balancer, ingress traefik, TLS only",
            "1 load balancer, ingress traefik, with TLS",
            "1 load balancer, ingress traefik, with TLS",
        ],
    ),
    (
        "special",
        "14",
        [
            "none",
            "none",
            "stargate.io/agents=librarian-performance-manager",
            "none",
            "stargate.io/clearance=restricted",
            "alloy runs, loki runs, prometheus runs",
            "stargate.io/agents=all",
        ],
    ),
    (
        "special: Pod Security",
        "06",
        ["baseline", "baseline", "baseline", "baseline", "restricted", "baseline", "baseline"],
    ),
    (
        "default approval level",
        "15",
        [
            "level 1 or higher",
            "level 1 or higher",
            "level 2 or higher",
            "level 3 or higher",
            "level 2 or higher",
            "level 2 or higher",
            "level 3 or higher",
        ],
    ),
];

/// The checks that no row of the table stands for: they hold for every template
/// alike, or follow from the hardened profile.
const BEYOND_THE_TABLE: [&str; 10] = ["U01", "U02", "U03", "U07", "U08", "U09", "U10", "16", "17", "18"];

#[test]
fn every_row_of_the_table_has_its_check() {
    for template in 1..=7 {
        let (spec, level) = shipped(template);
        let checks = checks(&spec, level, &Evidence::default());
        let expected = |number: &str| {
            let id =
                if number.starts_with('U') { number.to_owned() } else { format!("T{template}-{number}") };
            let check = checks.iter().find(|check| check.id == id);
            check.unwrap_or_else(|| panic!("no check {id}")).expected.clone()
        };
        for (row, number, cells) in TABLE {
            let cell = cells[usize::from(template) - 1].replace("ENV", spec.environment.as_str());
            assert_eq!(expected(number), cell, "T{template}, {row}");
        }
        BEYOND_THE_TABLE.iter().for_each(|number| drop(expected(number)));
        assert_eq!(checks.len(), TABLE.len() + BEYOND_THE_TABLE.len());
    }
}

/// The agents of T2 and T4 are labels of their nodes.
#[test]
fn agents_of_a_template_are_labels_of_its_nodes() {
    for (template, label) in [(2, "stargate.io/agent=orchestrator"), (4, "stargate.io/agent=data-analyst")] {
        let (spec, level) = shipped(template);
        let checks = checks(&spec, level, &Evidence::default());
        let labels = checks.iter().find(|check| check.id == "U08").unwrap();
        assert!(labels.expected.contains(label), "{labels:?}");
    }
}
