//! kubectl in the story, where it is installed. The simulated cloud has no
//! address on the network, so its API servers are served on loopback meanwhile.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use console::Style;
use exokit_cloud::clock::SystemClock;
use exokit_model::outputs::Outputs;
use exokit_sim::{Running, ServeOptions, serve};

use crate::embedded;
use crate::error::{CliError, Doing as _};
use crate::output::Output;
use crate::settings::parse_speed;
use crate::state_dir::StateDir;

/// What is typed, and the exit code that it must end with.
const TYPED: [(&[&str], i32); 2] =
    [(&["get", "deployments,pods"], 0), (&["auth", "can-i", "get", "secrets"], 1)];

/// Looks into the cluster with the kubeconfig that the story has got.
pub(super) async fn look(
    output: &Output,
    state: &Path,
    kubeconfig: &Path,
    outputs: &Outputs,
) -> Result<(), CliError> {
    let Some(cluster) = &outputs.cluster else { return Ok(()) };
    let served = serve_cloud(state).await?;
    let server = served.kubernetes_endpoint.clone();
    for (typed, code) in TYPED {
        let prompt = format!("$ kubectl {}", typed.join(" "));
        output.raw(format!("{}\n", output.paint(Style::new().cyan()).apply_to(prompt)).as_bytes())?;
        let mut command = Command::new("kubectl");
        command.args(typed).args(["--server", &server, "--tls-server-name", cluster.endpoint.raw()]);
        // kubectl caches below HOME; the cache goes with the state directory.
        command.env("KUBECONFIG", kubeconfig).env("HOME", state);
        match status(command).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return output.raw(b"(kubectl is not installed, so this is left out)\n");
            }
            ended => expect(ended.doing("running", "kubectl")?.code(), code, typed)?,
        }
    }
    served.shutdown();
    Ok(())
}

/// Runs a program while this process serves.
#[expect(clippy::disallowed_methods, reason = "the clock of the story is the real one")]
async fn status(mut command: Command) -> io::Result<ExitStatus> {
    tokio::task::spawn_blocking(move || command.status()).await?
}

async fn serve_cloud(state: &Path) -> Result<Running, CliError> {
    let speed = parse_speed(super::SPEED)?;
    let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let options = ServeOptions {
        listen,
        sos_listen: None,
        speed,
        state: Some(StateDir::new(state.to_owned()).embedded_cloud()),
        faults: None,
        record: None,
        control_plane: exokit_sim::ControlPlane::Simulated,
        config: embedded::config(speed),
        now: embedded::now_ms(Arc::new(SystemClock)),
    };
    serve(options).await.doing("serving on", listen)
}

fn expect(code: Option<i32>, expected: i32, typed: &[&str]) -> Result<(), CliError> {
    if code == Some(expected) {
        return Ok(());
    }
    let why = format!("it ended with {code:?}, expected was {expected}");
    Err(CliError::new("demo", "running", format!("kubectl {}", typed.join(" ")), why, super::HINT))
}
