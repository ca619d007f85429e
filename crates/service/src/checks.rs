//! Checks: the audit of the ledger, the comparison of prices, and the findings
//! of `doctor`. They change nothing.

use std::time::Duration;

use exokit_ledger::verify::FirstBad;
use exokit_ledger::{Audit, Head, LedgerError};
use exokit_model::approval::Person;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::reply::{AuditReply, DoctorReply, Finding, VerifyPricesReply};
use exokit_wire::request::{Anchor, AuditRequest, DoctorRequest, VerifyPricesRequest};
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::OwnedSemaphorePermit;

use crate::explain::Doing as _;
use crate::service::{Caller, Service};

/// A price list that is older deserves a warning.
const PRICES_DAYS_MAX: i32 = 90;

/// Clocks that are further apart make signatures fail.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(5);

/// Longest wait for the cloud's reply.
const CLOUD_TIMEOUT: Duration = Duration::from_secs(30);

/// Good news, or a warning with a hint.
type Checked = Result<(String, Option<String>), Failure>;

impl Service {
    pub(crate) async fn audit(&self, request: AuditRequest) -> Result<AuditReply, Failure> {
        let anchor = request.anchor.map(|Anchor { seq, hash }| Head { seq, hash });
        let audit = self.run_audit(self.admission.audit()?, anchor).await?;
        if !audit.differing.is_empty() {
            let rows = audit.differing.join(", ");
            let why = format!("the records are whole, but these rows differ from them: {rows}");
            let hint =
                "import the records into a new state folder with `exokit registry export` and `import`";
            return Err(Failure::new(Class::Refused, "bad-rows", "auditing", "the ledger", &why, hint));
        }
        Ok(AuditReply {
            records: audit.head.seq,
            head: audit.head.hash,
            environments: audit.environments,
            operations: audit.operations,
        })
    }

    /// Runs an audit in a task: a requester that goes away must not make room
    /// for another audit while this one still reads.
    async fn run_audit(&self, permit: OwnedSemaphorePermit, anchor: Option<Head>) -> Result<Audit, Failure> {
        let ledger = self.engine().parts().ledger.clone();
        let audit = tokio::spawn(async move {
            let _permit = permit;
            ledger.audit(anchor).await
        });
        let audit = audit.await.map_err(|error| {
            let hint = "this is a mistake in exokit; please report it";
            Failure::new(Class::Internal, "panic", "auditing", "the ledger", &error.to_string(), hint)
        })?;
        match audit {
            // The hint of these errors is to run an audit.
            Err(LedgerError::Damaged { seq, why }) => {
                Err(FirstBad { seq, why }).doing("auditing", "the ledger")
            }
            Err(LedgerError::IllegalRecord(illegal)) => Err(illegal).doing("auditing", "the ledger"),
            audit => audit.doing("auditing", "the ledger"),
        }
    }

    pub(crate) async fn verify_prices(&self, _: VerifyPricesRequest) -> Result<VerifyPricesReply, Failure> {
        let prices = &self.parts.prices;
        let public = self.engine().public_prices(&prices.currency).await;
        let public = public.doing("fetching", "the public prices")?;
        Ok(VerifyPricesReply {
            date: prices.date.clone(),
            compared: public.len(),
            changed: prices.differences(&public),
        })
    }

    pub(crate) async fn doctor(
        &self,
        caller: &Caller,
        request: DoctorRequest,
    ) -> Result<DoctorReply, Failure> {
        let permit = self.admission.audit()?;
        let mut findings = vec![
            Finding::new("templates", Ok(self.check_templates())),
            Finding::new("prices", Ok(self.check_prices())),
            Finding::new("ledger", self.check_ledger(permit).await),
            Finding::new("approvals", self.check_approvals(caller).await),
        ];
        if !request.skip_cloud {
            let cloud = tokio::time::timeout(CLOUD_TIMEOUT, self.check_cloud()).await;
            findings.push(Finding::new("cloud", cloud.unwrap_or_else(|_| Err(no_reply()))));
            findings.push(Finding::new("clock", Ok(self.check_clock())));
        }
        Ok(DoctorReply { findings })
    }

    fn check_templates(&self) -> (String, Option<String>) {
        let names: Vec<String> =
            self.parts.templates.iter().map(|template| template.id.to_string()).collect();
        (names.join(", "), None)
    }

    fn check_prices(&self) -> (String, Option<String>) {
        let prices = &self.parts.prices;
        let what = format!("{} prices of {} in {}", prices.hourly.len(), prices.date, prices.currency);
        let today = self.engine().parts().clock.now().to_zoned(TimeZone::UTC).date();
        let age = prices.date.parse::<Date>().ok().and_then(|date| date.until(today).ok());
        let is_old = age.is_some_and(|age| age.get_days() > PRICES_DAYS_MAX);
        (what, is_old.then(|| "they are old: exokit prices update".to_owned()))
    }

    async fn check_ledger(&self, permit: OwnedSemaphorePermit) -> Checked {
        let audit = self.run_audit(permit, None).await?;
        Ok((format!("{} records, the chain is whole", audit.head.seq), None))
    }

    async fn check_approvals(&self, caller: &Caller) -> Checked {
        if self.engine().parts().root.is_none() {
            let what = "no root key is pinned: only plans of level 1 can run".to_owned();
            return Ok((what, Some("exokit approver init".to_owned())));
        }
        let roster = self.engine().roster().await.doing("reading", "the roster")?;
        let can_vote = |person: &&Person| {
            person.agent_of.is_none() && person.keys.iter().any(|key| key.revoked_at.is_none())
        };
        let voters = roster.persons.iter().filter(can_vote).count();
        let mut what = format!("roster version {}, {voters} persons can vote", roster.version);
        if let Some(person) = &caller.person {
            what = format!("{what}, you are {person}");
        }
        let hint = match (voters, &caller.person) {
            (0..2, _) => Some("level 3 needs two persons: exokit approver add".to_owned()),
            (_, Some(person)) if roster.person(person).is_none() => {
                Some(format!("you are not in it: exokit approver add {person}"))
            }
            _ => None,
        };
        Ok((what, hint))
    }

    /// Whether the cloud replies and accepts the key.
    async fn check_cloud(&self) -> Checked {
        let zone = &self.parts.zone;
        let zones = self.engine().zones(zone).await.doing("asking", "for the zones")?;
        let catalog = self.engine().catalog(zone).await.doing("asking", "with the key")?;
        let version = catalog.sks_versions.first().map_or("?", String::as_str);
        let (zones, types) = (zones.len(), catalog.instance_types.len());
        Ok((format!("{zone} answers: {zones} zones, {types} machine types, Kubernetes {version}"), None))
    }

    fn check_clock(&self) -> (String, Option<String>) {
        let Some(skew) = self.engine().parts().client.skew() else {
            return ("not measured".to_owned(), Some("the cloud gave no date".to_owned()));
        };
        let what = format!("the cloud's clock is {:.1} s from this one", skew.ahead.as_secs_f64());
        let is_off = skew.ahead.abs() > SKEW_MAX;
        (what, is_off.then(|| "set this host's clock; signatures depend on it".to_owned()))
    }
}

fn no_reply() -> Failure {
    let why = format!("no reply within {} s", CLOUD_TIMEOUT.as_secs());
    let hint = "check the network and the endpoint";
    Failure::new(Class::Unavailable, "network", "asking", "the cloud", &why, hint)
}
