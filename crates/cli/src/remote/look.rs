//! What only looks, and signs of life.

use exokit_approval::roster::SignedRoster;
use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_ledger::EnvironmentView;
use exokit_model::approval::Roster;
use exokit_model::ids::OperationId;
use exokit_templates::TemplateSet;
use exokit_text::operation;
use exokit_wire::event::EventMessage;
use exokit_wire::reply::{Environment, OperationReply, RosterReply, StatusReply};
use exokit_wire::request::{
    DriftRequest, EventsRequest, HistoryRequest, KeepAliveRequest, ListRequest, OrphansRequest,
    RosterRequest, SelectRequest, StatusRequest,
};
use jiff::Timestamp;

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
        let reply = self.ask(&ListRequest { all: args.all }).await?;
        let shown: Result<Vec<_>, _> = reply.environments.iter().map(|one| self.view(one)).collect();
        list::show(self.settings, &shown?, SystemClock.now())
    }

    pub(super) async fn show(&self, args: &EnvironmentArgs) -> Result<Exit, CliError> {
        let status = self.ask(&StatusRequest { environment: args.environment.clone() }).await?;
        let mut value = serde_json::to_value(&status.view).unwrap_or_default();
        value["open"] = status.open.iter().map(in_full).collect();
        let text = self.status_text(&status).await?;
        self.settings.output.data(&value, || text)?;
        Ok(Exit::Done)
    }

    /// One environment for people.
    pub(super) async fn status_text(&self, status: &StatusReply) -> Result<String, CliError> {
        let now = SystemClock.now();
        let mut lines = Vec::new();
        for open in &status.open {
            let until = self.startable_until(open, now).await?;
            lines.push(operation::open_line(open, until, now));
        }
        Ok(exokit_text::environment::show(&self.view(&status.view)?, &lines, now))
    }

    /// Until when a plan that waits can start; none when it waits no more, is
    /// too old, or when something else has begun since.
    pub(super) async fn startable_until(
        &self,
        open: &OperationReply,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, CliError> {
        if open.phase != "awaiting-approval" {
            return Ok(None);
        }
        let until = self.recorded(open.plan_id.as_str()).await?.plan.not_after;
        let events = self.events_of(open).await?;
        let at = |kind: &str, id: Option<&OperationId>| {
            let of_kind = events.iter().filter(|event| event.event.get("type").is_some_and(|is| is == kind));
            of_kind.filter(|event| id.is_none() || event.operation.as_ref() == id).map(|event| event.at).max()
        };
        let proposed = at("plan-proposed", Some(&open.operation));
        let overtaken = proposed.is_none_or(|proposed| at("operation-started", None) >= Some(proposed));
        Ok((until >= now && !overtaken).then_some(until))
    }

    /// Everything that was recorded of an environment.
    async fn events_of(&self, open: &OperationReply) -> Result<Vec<EventMessage>, CliError> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let environment = Some(open.environment.clone());
            let page = self.ask(&EventsRequest { after, environment, operation: None }).await?;
            events.extend(page.events);
            match page.next > after && page.next < page.head {
                true => after = page.next,
                false => return Ok(events),
            }
        }
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
        let reply = self.ask(&RosterRequest {}).await?;
        let root = match &self.settings.place {
            Ok(place) => keys::pinned_root(&place.state)?,
            Err(_) => None,
        };
        if let Some(root) = root {
            verified(self, &reply, &root)?;
        }
        match command {
            ApproverCommand::Policy(_) => approver::show_policy(self.settings, &reply.roster.policy)?,
            _ => approver::show(self.settings, &reply.roster)?,
        }
        Ok(Exit::Done)
    }
}

/// The roster that the root key has signed, which must be what the agent says.
pub(super) fn verified(
    agent: &Agent<'_>,
    reply: &RosterReply,
    root: &exokit_approval::keys::PublicKey,
) -> Result<Roster, CliError> {
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
