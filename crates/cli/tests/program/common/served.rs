//! The program against a simulated Exoscale behind a socket.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Ended, Place, ended, first_line};

/// A simulated Exoscale behind a socket, and a place that uses it.
pub(crate) struct Served {
    pub(crate) server: Child,
    said: Value,
    pub(crate) place: Place,
}

impl Served {
    /// Starts `exokit sim` with arguments.
    pub(crate) fn new(place: Place, args: &[&str]) -> Self {
        let mut command = Command::new(super::EXOKIT);
        command.arg("sim").args(args).env_clear().stdout(Stdio::piped());
        Self::start(place, command)
    }

    /// Starts a server that says where it is in its first line.
    pub(crate) fn start(place: Place, mut command: Command) -> Self {
        let mut server = command.spawn().unwrap();
        let said = serde_json::from_str(&first_line(&mut server)).unwrap();
        Self { server, said, place }
    }

    /// A place whose roster was made on the embedded cloud, of which nothing
    /// has been asked yet: from here on its directory is for another one.
    pub(crate) fn place() -> Place {
        let place = Place::with_roster();
        std::fs::remove_file(place.path("state.json")).unwrap();
        place
    }

    fn text(&self, key: &str) -> String {
        self.said[key].as_str().unwrap().to_owned()
    }

    /// What leads the program to it, as to Exoscale.
    pub(crate) fn variables(&self) -> [(String, String); 5] {
        [
            ("EXOKIT_CLOUD", "exoscale".to_owned()),
            ("EXOSCALE_API_KEY", self.text("api_key")),
            ("EXOSCALE_API_SECRET", self.text("api_secret")),
            ("EXOSCALE_API_ENDPOINT", self.text("endpoint").replace("/v2", "/zone/{zone}/v2")),
            ("EXOSCALE_SOS_ENDPOINT", self.text("sos_endpoint")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// The program with arguments, as with credentials of Exoscale.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(args);
        command.envs(self.variables());
        command
    }

    /// Runs the program against it, with changes of the environment.
    pub(crate) fn run(&self, change: &[(&str, &str)], args: &[&str]) -> Ended {
        ended(self.command(args).envs(change.iter().copied()).output().unwrap())
    }

    /// Runs and demands an exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> String {
        let ended = self.run(&[], args);
        assert_eq!(ended.code, code, "exokit {}\n{}\n{}", args.join(" "), ended.out, ended.err);
        ended.out
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
