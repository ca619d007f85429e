//! Time to ready in virtual time: our time beside the critical path of the
//! cloud's own latencies, for every template.
//!
//! `cargo run --release -p exokit-simtest --example ready`

use std::collections::BTreeMap;
use std::time::Duration;

use exokit_model::graph::Graph;
use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;
use exokit_model::phase::Phase;
use exokit_sim::{Config, LatencyTable};
use exokit_simtest::rig::Rig;
use exokit_simtest::story;

fn main() -> std::process::ExitCode {
    println!("Latencies: midpoints of the measured ranges, round trip 60 ms, API budget 20 requests/s.");
    println!("Critical path: the longest path through the plan's graph, with the cloud's latencies alone.\n");
    println!("| template | resources | critical path s | ours s | ratio | sequential s | API calls |");
    println!("|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for template in 1..=7 {
        match measure(template) {
            Ok(row) => {
                worst = worst.max(row.ratio());
                println!("{row}");
            }
            Err(error) => {
                eprintln!("error: measuring T{template}: {error}");
                return std::process::ExitCode::FAILURE;
            }
        }
    }
    println!("\nWorst ratio {worst:.3}, goal 1.05.");
    match worst <= 1.05 {
        true => std::process::ExitCode::SUCCESS,
        false => std::process::ExitCode::FAILURE,
    }
}

struct Row {
    template: u16,
    resources: usize,
    critical: Duration,
    sequential: Duration,
    ours: Duration,
    calls: u64,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours.as_secs_f64() / self.critical.as_secs_f64()
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "| T{} | {} | {:.1} | {:.1} | {:.3} | {:.1} | {} |",
            self.template,
            self.resources,
            self.critical.as_secs_f64(),
            self.ours.as_secs_f64(),
            self.ratio(),
            self.sequential.as_secs_f64(),
            self.calls
        )
    }
}

fn measure(template: u16) -> Result<Row, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let config = Config { latency: LatencyTable::fixed(), ..Config::default() };
        let rig = Rig::new(config.clone());
        rig.install_roster().await;
        let state = story::approved_provision(&rig, template).await?;
        let calls_before = calls(&rig)?;
        let started = tokio::time::Instant::now();
        let phase = rig.engine().run(&state.operation).await?;
        let ours = started.elapsed();
        if phase != Phase::Succeeded {
            return Err(format!("it ended as {phase:?}").into());
        }
        let graph = &state.plan.graph;
        Ok(Row {
            template,
            resources: graph.nodes().len(),
            critical: critical_path(graph, &config),
            sequential: graph.nodes().iter().map(|node| latency(node.kind, &config)).sum(),
            ours,
            calls: calls(&rig)? - calls_before,
        })
    })
}

fn calls(rig: &Rig) -> Result<u64, exokit_sim::SimError> {
    rig.world.with(|world| world.calls().values().sum())
}

/// How long the cloud takes from the request to a usable resource.
fn latency(kind: Kind, config: &Config) -> Duration {
    let operation = match kind {
        Kind::SecurityGroup => "create-security-group",
        Kind::SecurityGroupRule => "add-rule-to-security-group",
        Kind::AntiAffinityGroup => "create-anti-affinity-group",
        Kind::SksCluster => "create-sks-cluster",
        Kind::SksNodepool => "create-sks-nodepool",
        Kind::DbaasPg | Kind::DbaasValkey => "dbaas-running",
        Kind::IamRole => "create-iam-role",
        // Synchronous calls.
        _ => return Duration::ZERO,
    };
    config.latency_of(operation)
}

fn critical_path(graph: &Graph, config: &Config) -> Duration {
    let mut done: BTreeMap<&NodeKey, Duration> = BTreeMap::new();
    for node in graph.nodes() {
        let start = node.depends_on.iter().filter_map(|key| done.get(key)).max().copied().unwrap_or_default();
        done.insert(&node.key, start + latency(node.kind, config));
    }
    done.values().max().copied().unwrap_or_default()
}
