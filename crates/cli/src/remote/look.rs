//! What only looks, and signs of life.

use exokit_approval::keys::PublicKey;
use exokit_approval::roster::SignedRoster;
use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_ledger::EnvironmentView;
use exokit_model::approval::Roster;
use exokit_templates::TemplateSet;
use exokit_text::operation;
use exokit_wire::reply::{Environment, OperationReply, RosterReply, StatusReply};
use exokit_wire::request::{
    DriftRequest, HistoryRequest, KeepAliveRequest, ListRequest, OrphansRequest, RosterRequest,
    SelectRequest, StatusRequest,
};

use super::Agent;
use crate::args::{
    ApproverCommand, DriftArgs, EnvironmentArgs, HistoryArgs, KeepAliveArgs, ListArgs, OrphansArgs,
    SelectArgs,
};
use crate::asked;
use crate::commands::{approver, drift, history, keep_alive, list, orphans, select};
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::operate::in_full;

impl Agent<'_> {
    pub(super) async fn select(&self, args: &SelectArgs) -> Result<Exit, CliError> {
        let selection = self.ask(&SelectRequest(asked::required(args)?)).await?;
        let set = TemplateSet::embedded().doing("reading", "the templates")?;
        select::show(self.settings, args, &selection, &set)
    }

    pub(super) async fn list(&self, args: &ListArgs) -> Result<Exit, CliError> {
        let mut request = ListRequest { all: args.all, after: None };
        let mut shown = Vec::new();
        loop {
            let page = self.ask(&request).await?;
            let views: Result<Vec<_>, _> = page.environments.iter().map(|one| self.view(one)).collect();
            shown.extend(views?);
            // A page that does not lead on would be asked for for ever.
            match page.next.filter(|next| Some(next) > request.after.as_ref()) {
                Some(next) => request.after = Some(next),
                None => return list::show(self.settings, &shown, SystemClock.now()),
            }
        }
    }

    pub(super) async fn show(&self, args: &EnvironmentArgs) -> Result<Exit, CliError> {
        let status = self.ask(&StatusRequest { environment: args.environment.clone() }).await?;
        let mut value = serde_json::to_value(&status.view).unwrap_or_default();
        value["open"] = status.open.iter().map(in_full).collect();
        let text = self.status_text(&status)?;
        self.settings.output.data(&value, || text)?;
        Ok(Exit::Done)
    }

    /// One environment for people.
    pub(super) fn status_text(&self, status: &StatusReply) -> Result<String, CliError> {
        let now = SystemClock.now();
        let line = |open: &OperationReply| {
            operation::open_line(open, status.startable.get(&open.plan_id).copied(), now)
        };
        let lines: Vec<_> = status.open.iter().map(line).collect();
        Ok(exokit_text::environment::show(&self.view(&status.view)?, &lines, now))
    }

    /// An environment as the ledger would have it: the message has the same
    /// fields.
    fn view(&self, environment: &Environment) -> Result<EnvironmentView, CliError> {
        let view = serde_json::to_value(environment).and_then(serde_json::from_value);
        view.map_err(|error| {
            let hint = "use a program of the version of the agent";
            CliError::new("no-agent", "reading the answer of", self.client.on(), error, hint)
        })
    }

    pub(super) async fn history(&self, args: &HistoryArgs) -> Result<Exit, CliError> {
        let reply = self.ask(&HistoryRequest { environment: args.environment.clone() }).await?;
        history::show(self.settings, &reply.lines)
    }

    pub(super) async fn drift(&self, args: &DriftArgs) -> Result<Exit, CliError> {
        let reply = self.ask(&DriftRequest { environment: args.environment.clone() }).await?;
        drift::show(self.settings, &reply)
    }

    pub(super) async fn orphans(&self, args: &OrphansArgs) -> Result<Exit, CliError> {
        let reply = self.ask(&OrphansRequest { zone: args.zone.clone() }).await?;
        orphans::show(self.settings, &reply.found)
    }

    pub(super) async fn keep_alive(&self, args: &KeepAliveArgs) -> Result<Exit, CliError> {
        let reply = self.ask(&KeepAliveRequest { environment: args.environment.clone() }).await?;
        keep_alive::show(self.settings, &reply)
    }

    pub(super) async fn approver(&self, command: &ApproverCommand) -> Result<Exit, CliError> {
        let roster = self.roster().await?;
        match command {
            ApproverCommand::Policy(_) => approver::show_policy(self.settings, &roster.policy)?,
            _ => approver::show(self.settings, &roster)?,
        }
        Ok(Exit::Done)
    }

    /// The root key that is pinned on this host.
    pub(super) fn pinned_root(&self) -> Result<Option<PublicKey>, CliError> {
        match &self.settings.place {
            Ok(place) => keys::pinned_root(&place.state),
            Err(_) => Ok(None),
        }
    }

    /// Who may approve: what the root key has signed, where it is pinned here.
    pub(super) async fn roster(&self) -> Result<Roster, CliError> {
        let reply = self.ask(&RosterRequest {}).await?;
        match self.pinned_root()? {
            Some(root) => verified(self, &reply, &root),
            None => Ok(reply.roster),
        }
    }
}

/// The roster that the root key has signed, which must be what the agent says.
pub(super) fn verified(agent: &Agent<'_>, reply: &RosterReply, root: &PublicKey) -> Result<Roster, CliError> {
    let Some(signed) = &reply.signed else {
        return Err(
            agent.contradicts("the roster", "the root key is pinned here, and the roster is not signed")
        );
    };
    let roster = SignedRoster::from_text(signed).verify(root).doing("checking", "the roster of the agent")?;
    match roster == reply.roster {
        true => Ok(roster),
        false => Err(agent.contradicts("the roster", "it is another than the signed one")),
    }
}
