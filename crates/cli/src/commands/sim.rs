//! `exokit sim`: a simulated Exoscale for other programs.

use std::sync::Arc;

use exokit_cloud::clock::{Clock, SystemClock};
use exokit_sim::{Config, ControlPlane, ServeOptions, serve};
use secrecy::ExposeSecret as _;

use crate::args::{ControlPlaneName, SimArgs};
use crate::embedded::{config, now_ms};
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::interrupt::interrupted;
use crate::settings::{Settings, parse_speed};

/// Names the folder with the programs of a control plane, as for Go's envtest.
const ASSETS: &str = "KUBEBUILDER_ASSETS";
/// Real time unless something else is said.
const SPEED_DEFAULT: &str = "1";

pub(crate) async fn run(settings: &Settings, args: SimArgs) -> Result<Exit, CliError> {
    let control_plane = control_plane(settings, args.control_plane)?;
    let speed = parse_speed(settings.speed.as_deref().unwrap_or(SPEED_DEFAULT))?;
    let defaults = config(speed);
    let mut zones = defaults.zones.clone();
    if let Some(zone) = args.zone {
        zones.retain(|other| other != zone.as_str());
        zones.insert(0, zone.to_string());
    }
    let config = Config {
        seed: args.seed.unwrap_or(defaults.seed),
        api_key: args.api_key.unwrap_or(defaults.api_key),
        api_secret: args.api_secret.map_or(defaults.api_secret, |secret| secret.expose_secret().to_owned()),
        zones,
        ..Config::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = ServeOptions {
        listen: args.listen,
        sos_listen: args.sos_listen,
        speed,
        state: settings.state_flag.clone(),
        faults: args.faults,
        record: args.record,
        control_plane,
        config,
        now: now_ms(clock),
    };
    let running = serve(options).await.doing("serving on", args.listen)?;
    settings.output.raw(format!("{}\n", running.announcement()).as_bytes())?;
    interrupted().await;
    running.finish().await;
    Ok(Exit::Done)
}

/// The control plane that is asked for. A real one needs its programs.
fn control_plane(settings: &Settings, name: ControlPlaneName) -> Result<ControlPlane, CliError> {
    if name == ControlPlaneName::Simulated {
        return Ok(ControlPlane::Simulated);
    }
    let assets = settings.variable(ASSETS).ok_or_else(|| {
        CliError::usage(
            format!("--control-plane real needs the variable {ASSETS}"),
            format!("build the programs with `cargo xtask control-plane`, and set {ASSETS} to their folder"),
        )
    })?;
    Ok(ControlPlane::Real { assets: assets.into() })
}
