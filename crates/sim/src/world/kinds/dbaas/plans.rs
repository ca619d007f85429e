//! Database types, their versions and plans.

use crate::world::{Call, HandlerReply, Refusal, World};
use serde_json::{Value, json};

/// A plan: `<tier>-<GiB of memory>`.
pub(crate) struct DbPlan {
    tier: &'static str,
    memory_gib: i64,
    pub(crate) nodes: i64,
    pub(crate) cpus: i64,
    disk_gib: i64,
}

impl DbPlan {
    pub(crate) fn memory_bytes(&self) -> i64 {
        self.memory_gib << 30
    }

    pub(crate) fn disk_bytes(&self) -> i64 {
        self.disk_gib << 30
    }

    fn name(&self) -> String {
        format!("{}-{}", self.tier, self.memory_gib)
    }
}

const TIERS: [(&str, i64, &[i64]); 4] = [
    ("hobbyist", 1, &[2]),
    ("startup", 1, &[4, 8, 16, 32, 64]),
    ("business", 2, &[4, 8, 16, 32, 64]),
    ("premium", 3, &[4, 8, 16, 32, 64]),
];

/// Names and node counts are documented; CPU and disk sizes are guesses.
fn all() -> Vec<DbPlan> {
    TIERS
        .iter()
        .flat_map(|(tier, nodes, sizes)| {
            sizes.iter().map(|memory_gib| DbPlan {
                tier,
                memory_gib: *memory_gib,
                nodes: *nodes,
                cpus: (*memory_gib / 4).max(1) + 1,
                disk_gib: *memory_gib * 20,
            })
        })
        .collect()
}

/// The plan of a name.
pub(crate) fn plan(name: &str) -> Option<DbPlan> {
    all().into_iter().find(|plan| plan.name() == name)
}

/// The versions on offer, newest first. Those of Valkey are a guess.
pub(crate) fn versions(kind: &str) -> &'static [&'static str] {
    if kind == "pg" { &["18", "17", "16", "15", "14", "13"] } else { &["8.1", "8.0"] }
}

/// What a service gets that does not ask for a version: a guess.
pub(crate) fn default_version(kind: &str) -> &'static str {
    if kind == "pg" { "17" } else { "8.1" }
}

fn value(world: &World, kind: &str) -> Value {
    let plans: Vec<Value> = all()
        .iter()
        .map(|plan| {
            json!({
                "name": plan.name(), "family": plan.tier, "node-count": plan.nodes,
                "node-cpu-count": plan.cpus, "node-memory": plan.memory_bytes(),
                "disk-space": plan.disk_bytes(), "max-memory-percent": 80,
                "zones": world.config.zones, "authorized": true,
            })
        })
        .collect();
    json!({
        "name": kind, "default-version": default_version(kind),
        "available-versions": versions(kind), "plans": plans,
    })
}

pub(crate) fn list(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    let types = [value(world, "pg"), value(world, "valkey")];
    HandlerReply::read(json!({"dbaas-service-types": types}))
}

pub(crate) fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    match call.param("service-type-name") {
        kind @ ("pg" | "valkey") => HandlerReply::read(value(world, kind)),
        _ => Err(Refusal::new(404, "no such service type")),
    }
}
