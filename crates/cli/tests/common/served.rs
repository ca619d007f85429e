//! The program against a simulated Exoscale behind a socket.

use std::process::{Child, Command};

use serde_json::Value;

use super::{Place, ended, first_line};

/// A simulated Exoscale behind a socket, and a place that uses it.
pub(crate) struct Served {
    pub(crate) server: Child,
    said: Value,
    place: Place,
}

impl Served {
    /// Starts `exokit sim` with arguments.
    pub(crate) fn new(place: Place, args: &[&str]) -> Self {
        let mut command = Command::new(super::EXOKIT);
        command.arg("sim").args(args).env_clear().stdout(std::process::Stdio::piped());
        let mut server = command.spawn().unwrap();
        let said = serde_json::from_str(&first_line(&mut server)).unwrap();
        Self { server, said, place }
    }

    fn text(&self, key: &str) -> String {
        self.said[key].as_str().unwrap().to_owned()
    }

    /// Runs the program against it, with changes of the environment.
    pub(crate) fn run(&self, change: &[(&str, &str)], args: &[&str]) -> super::Ended {
        let mut command = self.place.command(args);
        let api = self.text("endpoint").replace("/v2", "/zone/{zone}/v2");
        command
            .env("EXOKIT_CLOUD", "exoscale")
            .env("EXOSCALE_API_KEY", self.text("api_key"))
            .env("EXOSCALE_API_SECRET", self.text("api_secret"))
            .env("EXOSCALE_API_ENDPOINT", api)
            .env("EXOSCALE_SOS_ENDPOINT", self.text("sos_endpoint"));
        command.envs(change.iter().copied());
        ended(command.output().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
