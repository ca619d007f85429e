//! Serves a fresh cluster with two nodes on loopback, for kubectl:
//!
//! ```text
//! cargo run -p exokit-kube-sim --example serve -- 8001 --log
//! kubectl --server http://127.0.0.1:8001 get nodes
//! ```

#![expect(clippy::unwrap_used, reason = "the shared server panics as tests do")]

#[path = "../tests/all/http.rs"]
mod http_server;

use exokit_kube_sim::{Cluster, Machine, Settings};
use tokio::net::TcpListener;

fn machine(number: u32) -> Machine {
    Machine {
        id: format!("00000000-0000-4000-8000-{number:012}"),
        name: format!("node-{number}"),
        address: format!("203.0.113.{number}"),
        zone: "ch-gva-2".into(),
        instance_type: "standard.medium".into(),
        labels: [].into(),
        taints: vec![],
        cpus: 2,
        memory_bytes: 4 << 30,
        disk_gib: 50,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8001);
    #[expect(clippy::disallowed_methods, reason = "kubectl compares times with the clock of the machine")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now = i64::try_from(since.as_millis())?;
    let settings = Settings {
        seed: 1,
        version: "1.35.1".into(),
        zone: "ch-gva-2".into(),
        pod_start_ms: (500, 1500),
        broken_images: vec!["broken/".into()],
    };
    let mut cluster = Cluster::new(settings, now);
    cluster.join(now, &machine(1));
    cluster.join(now, &machine(2));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    http_server::Served::new(cluster, now).serve(listener).await;
    Ok(())
}
