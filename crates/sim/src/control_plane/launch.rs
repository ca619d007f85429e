//! Starts the four programs of one control plane.

use super::client::Client;
use super::files::Files;
use super::processes::{Process, Starter};
use super::programs::Programs;
use crate::SharedWorld;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;

/// How often a program that starts is asked whether it is ready.
const POLL: Duration = Duration::from_millis(50);
/// How often running programs are checked.
const CHECK: Duration = Duration::from_secs(1);
/// An API server that is not ready after this long is given up.
const READY_MAX: Duration = Duration::from_secs(90);
/// The addresses of services, as in the simulated cluster.
const SERVICES: &str = "10.96.0.0/16";

/// A control plane whose API server is ready. Its processes end when this is
/// dropped, and then its folder is removed.
#[derive(Debug)]
pub(super) struct Running {
    address: SocketAddr,
    client: Client,
    processes: Vec<Process>,
    // After the processes, which write there.
    _files: Files,
}

impl Running {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until a program ends by itself; gives what it said last.
    pub(super) async fn first_end(&mut self) -> String {
        loop {
            if let Some(ended) = first_ended(&mut self.processes) {
                return ended.last_words();
            }
            tokio::time::sleep(CHECK).await;
        }
    }

    /// Starts the programs for a cluster of the world.
    pub(super) async fn launch(
        programs: &Programs,
        starter: &Starter,
        world: &SharedWorld,
        id: &str,
    ) -> io::Result<Self> {
        let identities = world.with(|world| world.control_plane_identities(id)).map_err(io::Error::other)?;
        let identities = identities.ok_or_else(|| io::Error::other("the cluster is gone"))?;
        let [clients, peers, address] = free_addresses().await?;
        let files = Files::write(starter.folder(id), &identities, address)?;
        let client = Client::new(&identities, address)?;
        let mut launch = Launch { programs, starter, files, processes: Vec::new() };
        launch.start(Programs::ETCD, etcd(&launch.files, clients, peers)).await?;
        launch.start(Programs::API_SERVER, api_server(&launch.files, clients, address)).await?;
        tokio::time::timeout(READY_MAX, launch.ready(&client))
            .await
            .map_err(|_| io::Error::other("the API server was not ready in time"))??;
        launch.start(Programs::CONTROLLER_MANAGER, controller_manager(&launch.files)).await?;
        launch.start(Programs::SCHEDULER, scheduler(&launch.files)).await?;
        Ok(Self { address, client, processes: launch.processes, _files: launch.files })
    }
}

struct Launch<'a> {
    programs: &'a Programs,
    starter: &'a Starter,
    // Before the folder, so that on an error they end first.
    processes: Vec<Process>,
    files: Files,
}

impl Launch<'_> {
    async fn start(&mut self, program: &str, arguments: Vec<String>) -> io::Result<()> {
        let log = self.files.path(&format!("{program}.log"));
        self.processes.push(self.starter.start(&self.programs.path(program), &arguments, &log).await?);
        Ok(())
    }

    /// Waits until the API server answers, or a program has ended.
    async fn ready(&mut self, client: &Client) -> io::Result<()> {
        while !client.is_ready().await {
            if let Some(ended) = first_ended(&mut self.processes) {
                return Err(io::Error::other(ended.last_words()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

fn first_ended(processes: &mut [Process]) -> Option<&Process> {
    processes.iter_mut().find_map(|process| process.has_ended().then_some(&*process))
}

/// Addresses that no program listens at. All are held until all are known, so
/// they differ; another program may still take one before ours does.
async fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).await?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}

fn etcd(files: &Files, clients: SocketAddr, peers: SocketAddr) -> Vec<String> {
    vec![
        files.argument("data-dir", "etcd"),
        // The data end with the process.
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls=http://{clients}"),
        format!("--advertise-client-urls=http://{clients}"),
        format!("--listen-peer-urls=http://{peers}"),
        format!("--initial-advertise-peer-urls=http://{peers}"),
        format!("--initial-cluster=default=http://{peers}"),
    ]
}

fn api_server(files: &Files, etcd: SocketAddr, address: SocketAddr) -> Vec<String> {
    vec![
        format!("--etcd-servers=http://{etcd}"),
        files.argument("cert-dir", "certificates"),
        format!("--secure-port={}", address.port()),
        format!("--bind-address={}", address.ip()),
        format!("--advertise-address={}", address.ip()),
        files.argument("client-ca-file", Files::AUTHORITY),
        files.argument("tls-cert-file", Files::CERTIFICATE),
        files.argument("tls-private-key-file", Files::KEY),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--authorization-mode=RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        files.argument("service-account-key-file", Files::ACCOUNTS_PUBLIC),
        files.argument("service-account-signing-key-file", Files::ACCOUNTS),
        "--endpoint-reconciler-type=none".to_owned(),
    ]
}

fn controller_manager(files: &Files) -> Vec<String> {
    vec![
        files.argument("kubeconfig", Files::CONTROLLER_MANAGER),
        files.argument("service-account-private-key-file", Files::ACCOUNTS),
        files.argument("root-ca-file", Files::AUTHORITY),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ]
}

fn scheduler(files: &Files) -> Vec<String> {
    vec![
        files.argument("kubeconfig", Files::SCHEDULER),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ]
}
