//! Real control planes: etcd, kube-apiserver, kube-controller-manager and
//! kube-scheduler behind each SKS cluster.
//!
//! A supervisor starts them when a cluster is running, and stops them when it
//! is deleted. The actors outside a control plane (kubelets, cloud controller,
//! CSI driver) stay those of the simulated cluster, as clients of the API
//! server.
//!
//! # Guarantees
//! - No process and no folder outlives the server: each process is killed when
//!   the thread that started it is gone, and a janitor removes the folder.

mod client;
mod files;
mod follow;
mod launch;
pub(crate) mod listener;
mod processes;
mod programs;

use crate::connection::ended;
use crate::{SharedWorld, SimError};
use launch::Running;
use processes::Starter;
use programs::Programs;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the control planes of SKS clusters are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ControlPlane {
    /// By the simulated cluster.
    #[default]
    Simulated,
    /// By the real programs in a folder.
    Real {
        /// The folder, as `KUBEBUILDER_ASSETS` names it.
        assets: PathBuf,
    },
}

/// A connection waits for its API server this long.
const PATIENCE: Duration = Duration::from_secs(120);
/// A control plane that ends while it starts, for instance because another
/// program took its port, is started this often.
const ATTEMPTS: u32 = 3;

/// Where an API server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Ready(SocketAddr),
    Failed,
}

type Addresses = BTreeMap<String, Progress>;

/// The API servers of a server's clusters; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ApiServers {
    world: SharedWorld,
    addresses: watch::Receiver<Addresses>,
}

impl ApiServers {
    /// The address of the API server with a host name, once it is ready. None
    /// when there is no such cluster, or its control plane does not start.
    pub(crate) async fn address(&self, host: &str) -> Option<SocketAddr> {
        let id = self.world.with(|world| world.cluster_at(host)).ok().flatten()?;
        let mut addresses = self.addresses.clone();
        let known = addresses.wait_for(|addresses| addresses.contains_key(&id));
        let known = tokio::time::timeout(PATIENCE, known).await.ok()?.ok()?;
        match known.get(&id) {
            Some(Progress::Ready(address)) => Some(*address),
            Some(Progress::Failed) | None => None,
        }
    }
}

/// The supervisor of all control planes.
#[derive(Debug)]
pub(crate) struct Supervisor {
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts to supervise the control planes of a world, until `stop`.
    pub(crate) fn start(
        assets: PathBuf,
        world: SharedWorld,
        stop: watch::Receiver<bool>,
    ) -> Result<(Self, ApiServers), SimError> {
        let programs = Programs::find(assets)?;
        let starter = Arc::new(Starter::new()?);
        let (published, addresses) = watch::channel(Addresses::new());
        let servers = ApiServers { world: world.clone(), addresses };
        let supervision = Supervision {
            world,
            programs: Arc::new(programs),
            starter,
            published: Arc::new(published),
            tasks: BTreeMap::new(),
        };
        Ok((Self { task: tokio::spawn(supervision.run(stop)) }, servers))
    }

    /// Waits until all processes have ended, after the server was stopped.
    pub(crate) async fn finished(self) {
        if let Err(why) = self.task.await {
            tracing::warn!(%why, "the supervisor of the control planes broke off");
        }
    }
}

struct Supervision {
    world: SharedWorld,
    programs: Arc<Programs>,
    starter: Arc<Starter>,
    published: Arc<watch::Sender<Addresses>>,
    /// One task for each control plane, by cluster.
    tasks: BTreeMap<String, JoinHandle<()>>,
}

impl Supervision {
    async fn run(mut self, stop: watch::Receiver<bool>) {
        let mut changes = self.world.changes();
        loop {
            // Marked before the world is read: no change is missed in between.
            changes.borrow_and_update();
            let looked = self.world.with(|world| (world.control_planes_wanted(), world.next_change_ms()));
            let (wanted, due_ms) = match looked {
                Ok(looked) => looked,
                Err(why) => return tracing::error!(%why, "the state of the cloud cannot be read"),
            };
            self.adjust(&wanted).await;
            // The world moves on by itself, also when nobody sends a request.
            let due = async {
                match due_ms {
                    Some(due_ms) => tokio::time::sleep(self.world.wait_max(due_ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = due => {}
                () = ended(stop.clone()) => break,
            }
        }
        self.adjust(&[]).await;
    }

    /// Starts the control planes that are missing, and stops the others.
    async fn adjust(&mut self, wanted: &[String]) {
        let surplus: Vec<String> = self.tasks.keys().filter(|id| !wanted.contains(id)).cloned().collect();
        for id in surplus {
            self.published.send_modify(|addresses| {
                addresses.remove(&id);
            });
            if let Some(task) = self.tasks.remove(&id) {
                task.abort();
                // An abort is the expected end; the processes have ended with it.
                let _ = task.await;
            }
        }
        for id in wanted {
            if !self.tasks.contains_key(id) {
                self.tasks.insert(id.clone(), tokio::spawn(self.control_plane(id)));
            }
        }
    }

    /// The life of one control plane.
    fn control_plane(&self, id: &str) -> impl Future<Output = ()> + Send + use<> {
        let (world, programs, starter) = (self.world.clone(), self.programs.clone(), self.starter.clone());
        let (published, id) = (self.published.clone(), id.to_owned());
        async move {
            for attempt in 1..=ATTEMPTS {
                match Running::launch(&programs, &starter, &world, &id).await {
                    Ok(mut running) => {
                        published.send_modify(|addresses| {
                            addresses.insert(id.clone(), Progress::Ready(running.address()));
                        });
                        let client = running.client().clone();
                        let why = tokio::select! {
                            () = follow::follow(&world, &id, &client) => return,
                            why = running.first_end() => why,
                        };
                        tracing::error!(cluster = %id, why, "a control plane broke down");
                        break;
                    }
                    Err(why) => tracing::error!(cluster = %id, attempt, %why, "control plane did not start"),
                }
            }
            published.send_modify(|addresses| {
                addresses.insert(id.clone(), Progress::Failed);
            });
        }
    }
}
