//! Serves a simulated cloud and prints its address as one JSON line.
//!
//! `cargo run -p exokit-sim --example serve -- [--listen ADDR] [--speed N|max]
//! [--state FILE] [--seed N] [--faults FILE] [--record FILE]
//! [--zone Z]`; the arguments are those of `exokit sim`, and a leading `sim` is
//! accepted.

use exokit_sim::{Config, ServeOptions, Speed, serve};
use std::sync::Arc;

#[expect(clippy::disallowed_methods, reason = "a server lives in real time")]
fn wall_clock() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        sos_listen: None,
        speed: Speed::Times(1.0),
        state: None,
        faults: None,
        record: None,
        control_plane: exokit_sim::ControlPlane::Simulated,
        config: Config::default(),
        now: Arc::new(wall_clock),
    };
    let mut arguments = std::env::args().skip(1).filter(|a| a != "sim");
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or("a flag without value")?;
        match flag.as_str() {
            "--listen" => options.listen = value.parse()?,
            "--speed" => options.speed = value.parse()?,
            "--state" => options.state = Some(value.into()),
            "--faults" => options.faults = Some(value.into()),
            "--record" => options.record = Some(value.into()),
            "--seed" => options.config.seed = value.parse()?,
            "--zone" => options.config.zones = vec![value],
            "--api-key" => options.config.api_key = value,
            "--api-secret" => options.config.api_secret = value,
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    let running = serve(options).await?;
    println!("{}", running.announcement());
    tokio::signal::ctrl_c().await?;
    running.shutdown();
    Ok(())
}
