//! Interventions: what people, strangers and the cloud's controllers do behind the
//! engine's back, each at its scheduled time.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use exokit_model::approval::Decision;
use exokit_model::graph::Node;
use exokit_model::ids::OperationId;
use exokit_model::kind::Kind as OurKind;
use exokit_sim::{Kind, LiveResource, World};
use serde_json::json;
use tokio::time::Instant;

use super::effect::State;
use super::schedule::{Act, Stage, What};
use super::simulation::Simulation;

/// A thing to do at a time.
#[derive(Debug, Clone, Copy)]
enum Due {
    Act(Act),
    /// Sets the clock of the host.
    Clock(i32),
}

/// What is still to be done in a stage, by its time.
#[derive(Debug)]
pub(super) struct Interventions {
    pending: RefCell<VecDeque<(Instant, Due)>>,
}

impl Interventions {
    /// Everything that the schedule says for a stage that begins now.
    pub(super) fn of(simulation: &Simulation, stage: Stage) -> Self {
        let now = Instant::now();
        let at = |seconds: u32| now + Duration::from_secs(u64::from(seconds));
        let mut pending = Vec::new();
        for item in &simulation.schedule.items {
            match item.what {
                What::Act { stage: own, at: seconds, act } if own == stage => {
                    pending.push((at(seconds), Due::Act(act)));
                }
                What::Clock { stage: own, at: seconds, ahead, seconds: length } if own == stage => {
                    pending.push((at(seconds), Due::Clock(ahead)));
                    pending.push((at(seconds + length), Due::Clock(0)));
                }
                _ => {}
            }
        }
        pending.sort_by_key(|(at, _)| *at);
        Self { pending: RefCell::new(pending.into()) }
    }

    /// Does what is due, whenever it is due, until it is dropped.
    pub(super) async fn perform(&self, simulation: &Simulation, operation: Option<&OperationId>) {
        loop {
            let next = self.pending.borrow().front().map(|(at, _)| *at);
            match next {
                None => std::future::pending::<()>().await,
                Some(at) => tokio::time::sleep_until(at).await,
            }
            let due = self.pending.borrow_mut().pop_front();
            match due {
                Some((_, Due::Act(act))) => simulation.act(act, operation).await,
                Some((_, Due::Clock(ahead))) => simulation.set_clock(ahead),
                None => {}
            }
        }
    }

    /// Does everything at once.
    pub(super) async fn all(&self, simulation: &Simulation, operation: Option<&OperationId>) {
        loop {
            let next = self.pending.borrow_mut().pop_front();
            match next {
                Some((_, Due::Act(act))) => simulation.act(act, operation).await,
                Some((_, Due::Clock(_))) => {}
                None => return,
            }
        }
    }

    /// Does at once whatever is left that sets things right again.
    pub(super) fn end(&self, simulation: &Simulation) {
        let clocks = self.pending.borrow().iter().any(|(_, due)| matches!(due, Due::Clock(_)));
        if clocks {
            simulation.set_clock(0);
        }
        self.pending.borrow_mut().clear();
    }
}

impl Simulation {
    async fn act(&self, act: Act, operation: Option<&OperationId>) {
        match act {
            Act::Delete { pick } => {
                self.human(pick, "human deleted it", |world, own| world.human_delete(own.kind, &own.id))
            }
            Act::Relabel { pick } => self.human(pick, "human changed its labels", |world, own| {
                !own.labels.is_empty() && world.human_relabel(own.kind, &own.id, &BTreeMap::new())
            }),
            Act::Rename { pick } => self.human(pick, "human renamed it", |world, own| {
                renamable(own.kind) && world.human_rename(own.kind, &own.id, "renamed-by-hand")
            }),
            Act::LookAlike { pick } => self.look_alike(pick),
            Act::TakeName { pick } => self.take_name(pick, operation).await,
            Act::Balancer => self.plant(Kind::InstancePool, "load balancer of the cluster"),
            Act::Volume => self.plant(Kind::Instance, "volume of the cluster"),
            Act::FillBucket => self.fill_bucket(),
            Act::Protect => self.human_kind(Kind::DbaasService, "protected database", |world, own| {
                world.human_protect(&own.id, true)
            }),
            Act::Deny => self.deny(operation).await,
            Act::Revoke => self.revoke_voter().await,
            Act::AskTeardown => self.ask_teardown_meanwhile().await,
            Act::VoteAgain => {
                if let Some(operation) = operation {
                    self.vote_late(operation).await;
                }
            }
        }
    }

    /// A human does something to a resource of ours that the ledger knows.
    fn human(&self, pick: u32, effect: &str, work: impl FnOnce(&mut World, &LiveResource) -> bool) {
        let ours = self.ours();
        let Some(own) = ours.get(pick as usize % ours.len().max(1)) else { return };
        if self.rig.cloud_mut(|world| work(world, own)) {
            self.truth.borrow_mut().touched.insert(own.id.clone());
            self.witness.note(effect);
        }
    }

    fn human_kind(&self, kind: Kind, effect: &str, work: impl FnOnce(&mut World, &LiveResource) -> bool) {
        let Some(own) = self.ours().into_iter().find(|own| own.kind == kind) else { return };
        if self.rig.cloud_mut(|world| work(world, &own)) {
            self.witness.note(effect);
        }
    }

    /// What is ours, exists, and is known to the durable ledger.
    fn ours(&self) -> Vec<LiveResource> {
        let live = self.rig.cloud(World::live);
        let inner = self.witness.lock();
        live.into_iter().filter(|own| inner.tracker.knows(&own.id)).collect()
    }

    /// Somebody who has seen the plan makes something with the labels of one
    /// of its nodes.
    fn look_alike(&self, pick: u32) {
        let plans = crate::oracle::plans(&self.records());
        let made = plans.values().flat_map(|plan| plan.graph.nodes()).filter_map(|node| {
            let body = node.create.as_ref()?.body.as_ref()?;
            Some((sim_kind(node.kind)?, node.zone.to_string(), body.get("labels")?.clone()))
        });
        let made: Vec<(Kind, String, serde_json::Value)> = made.collect();
        let Some((kind, zone, labels)) = made.get(pick as usize % made.len().max(1)) else { return };
        let doc = json!({"name": "copied", "description": "made by hand", "labels": labels,
            "level": "pro", "version": "1.30.0", "size": 9, "state": "running"});
        let id = self.rig.cloud_mut(|world| world.plant_foreign(*kind, Some(zone), doc));
        self.truth.borrow_mut().foreign.insert(id);
        self.witness.note("look-alike with our labels");
    }

    /// Somebody else has the name that a node is going to ask for.
    async fn take_name(&self, pick: u32, operation: Option<&OperationId>) {
        let Some(operation) = operation else { return };
        let Ok(state) = self.engine().operation(operation).await else { return };
        let takes = |node: &&Node| matches!(node.kind, OurKind::SosBucket | OurKind::SecurityGroup);
        let nodes: Vec<&Node> = state.plan.graph.nodes().iter().filter(takes).collect();
        let Some(node) = nodes.get(pick as usize % nodes.len().max(1)) else { return };
        let zone = node.zone.to_string();
        let id = self.rig.cloud_mut(|world| match node.kind {
            OurKind::SosBucket => world.plant_foreign(Kind::Bucket, Some(&zone), json!({"name": node.name})),
            _ => world.plant_foreign(
                Kind::SecurityGroup,
                None,
                json!({"name": node.name, "description": "somebody else's", "rules": []}),
            ),
        });
        let mut truth = self.truth.borrow_mut();
        truth.foreign.insert(id);
        truth.names_taken.insert(node.name.clone());
    }

    /// A controller of the cluster makes something that nobody planned.
    fn plant(&self, beside: Kind, effect: &str) {
        let live = self.rig.cloud(World::live);
        let Some(own) = live.iter().find(|own| own.kind == beside) else { return };
        let zone = own.zone.clone().unwrap_or_default();
        let number = self.truth.borrow().planted.len();
        let planted = self.rig.cloud_mut(|world| match beside {
            Kind::InstancePool => {
                (Kind::LoadBalancer, world.plant_load_balancer(&format!("k8s-{number}"), &own.id, &zone))
            }
            _ => (
                Kind::BlockStorageVolume,
                world.plant_volume(&format!("pvc-{number}"), 10, &zone, Some(&own.id)),
            ),
        });
        let mut truth = self.truth.borrow_mut();
        // What appears before the teardown begins must be found.
        if matches!(self.witness.lock().tracker.state(), State::Resting | State::Asking) {
            truth.known.insert(planted.1.clone());
        }
        truth.planted.push(planted);
        self.witness.note(effect);
    }

    fn fill_bucket(&self) {
        self.human_kind(Kind::Bucket, "objects in the bucket", |world, own| {
            world.human_put_object(&own.id, "left/behind.txt", b"data")
        });
    }

    async fn deny(&self, operation: Option<&OperationId>) {
        let Some(operation) = operation else { return };
        let engine = self.engine();
        let Ok(state) = engine.operation(operation).await else { return };
        let token = self.rig.vote("robin", &state, Decision::Deny);
        if state.started_at.is_some() && engine.vote(operation, &token).await.is_ok() {
            self.witness.note("denied while it ran");
        }
    }

    async fn revoke_voter(&self) {
        if self.revoke("alex").await {
            self.witness.note("key revoked while it ran");
        }
    }

    async fn ask_teardown_meanwhile(&self) {
        let refused =
            self.engine().plan_teardown(&self.environment(), &crate::rig::person("dana"), None).await;
        if matches!(refused, Err(error) if error.code() == "busy") {
            let state = self.witness.lock().tracker.state();
            match state {
                State::TearingDown => self.witness.note("second teardown plan refused"),
                _ => self.witness.note("teardown during the provision refused"),
            }
        }
    }
}

fn renamable(kind: Kind) -> bool {
    matches!(kind, Kind::SksCluster | Kind::SksNodepool | Kind::IamRole | Kind::AntiAffinityGroup)
}

/// The kinds that carry labels and can be made without others.
fn sim_kind(kind: OurKind) -> Option<Kind> {
    match kind {
        OurKind::SksCluster => Some(Kind::SksCluster),
        OurKind::IamRole => Some(Kind::IamRole),
        _ => None,
    }
}
