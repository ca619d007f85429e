//! Requests of a day, summed from the plans themselves: the caps of
//! the policy decide on these sums.

use std::collections::BTreeMap;

use exokit_core::level::DailySums;
use exokit_ledger::{Filter, IllegalRecord, Ledger, LedgerError};
use exokit_model::event::{Event, Record};
use exokit_model::ids::{OperationId, PersonId, RoleName};
use exokit_model::plan::Plan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use tokio::sync::Mutex;

/// The part of a plan that counts.
#[derive(Debug, Clone, Deserialize)]
struct Request {
    requester: PersonId,
    team: Option<RoleName>,
    cost: Cost,
}

#[derive(Debug, Clone, Deserialize)]
struct Cost {
    hourly: Decimal,
}

/// The plans of one day that were not rejected, as far as the records were
/// read. Without it, each plan would read all plans of its day again.
#[derive(Debug, Default)]
pub(crate) struct DailyRequests(Mutex<Day>);

#[derive(Debug, Default)]
struct Day {
    date: Option<Date>,
    seq: u64,
    plans: BTreeMap<OperationId, Request>,
}

impl DailyRequests {
    /// Adds up the requests of a UTC day, so that a large one cannot be split.
    /// `principal` names the human behind a requester; those for whom it gives
    /// the same count as one.
    ///
    /// # Errors
    /// When the ledger cannot be read, or holds what is no plan.
    pub(crate) async fn sum<P: PartialEq>(
        &self,
        ledger: &dyn Ledger,
        date: Date,
        (requester, team): (&PersonId, Option<&RoleName>),
        principal: &(dyn Fn(&PersonId) -> P + Sync),
    ) -> Result<DailySums, LedgerError> {
        let mut day = self.0.lock().await;
        if day.date != Some(date) {
            *day = Day { date: Some(date), ..Day::default() };
        }
        let unread = ledger.read(Filter::Requests(date), day.seq).await?;
        day.take_all(&unread)?;
        let human = principal(requester);
        let mut sums = DailySums::default();
        for request in day.plans.values() {
            // No plan makes the sum of others smaller.
            let hourly = request.cost.hourly.max(Decimal::ZERO);
            if principal(&request.requester) == human {
                sums.by_requester = sums.by_requester.saturating_add(hourly);
            }
            if team.is_some() && request.team.as_ref() == team {
                sums.by_team = sums.by_team.saturating_add(hourly);
            }
        }
        Ok(sums)
    }
}

impl Day {
    /// Takes records in up to the first illegal one, at which every later sum
    /// fails too.
    fn take_all(&mut self, records: &[Record]) -> Result<(), IllegalRecord> {
        for record in records {
            self.take(record)?;
            self.seq = record.seq;
        }
        Ok(())
    }

    fn take(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        let illegal = |why: String| IllegalRecord { seq: record.seq, why };
        let Some(operation) = record.entry.operation.clone() else { return Ok(()) };
        match &record.entry.event {
            Event::PlanProposed { digest, plan, .. } => {
                if Plan::digest_of(plan.as_bytes()) != *digest {
                    return Err(illegal("the plan does not have the recorded digest".to_owned()));
                }
                let request = serde_json::from_str(plan).map_err(|error| illegal(error.to_string()))?;
                self.plans.insert(operation, request);
            }
            Event::PlanRejected { .. } => drop(self.plans.remove(&operation)),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exokit_ledger::testing::fixtures::{Story, at, chain, plan};
    use exokit_ledger::{Condition, MemoryLedger};
    use exokit_model::plan::Action;
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn every_sum_meets_an_illegal_record() {
        let mut illegal = Story::new(plan(2, Action::Provision), 100).entries;
        if let Event::PlanProposed { plan, .. } = &mut illegal[0].event {
            plan.push(' ');
        }
        let legal = Story::new(plan(1, Action::Provision), 0).entries;
        let records = chain(legal.into_iter().chain(illegal));
        let mut day = Day::default();
        for _ in 0..2 {
            let unread = usize::try_from(day.seq).unwrap();
            assert_eq!(day.take_all(&records[unread..]).unwrap_err().seq, 2);
        }
        assert_eq!((day.seq, day.plans.len()), (1, 1));
    }

    #[tokio::test]
    async fn requests_of_a_day_add_up_unless_they_were_rejected() {
        const DAY: i64 = 24 * 3600;
        let asked = |number, seconds| Story::new(plan(number, Action::Provision), seconds);
        let rejected = asked(2, 100).then(Event::PlanRejected { why: "too much".into() });
        let ledger = MemoryLedger::default();
        let requests = DailyRequests::default();
        let same = |id: &PersonId| id.clone();
        let all_alice = |_: &PersonId| "alice".parse().unwrap();
        type Principal<'a> = Arc<dyn Fn(&PersonId) -> PersonId + Sync + 'a>;
        type Case<'a> = (&'a str, Option<&'a str>, Principal<'a>, i64, (i64, i64));
        let check = async |cases: &[Case<'_>]| {
            for (person, team, principal, seconds, (by_requester, by_team)) in cases {
                let team: Option<RoleName> = team.map(|team| team.parse().unwrap());
                let person: PersonId = person.parse().unwrap();
                let date = at(*seconds).to_zoned(TimeZone::UTC).date();
                let asked = (&person, team.as_ref());
                let found = requests.sum(&ledger, date, asked, &**principal).await.unwrap();
                let by_requester = Decimal::new(*by_requester, 2);
                let by_team = Decimal::new(*by_team, 2);
                assert_eq!(found, DailySums { by_requester, by_team }, "{person} {seconds}");
            }
        };
        let append = async |story: Story| ledger.append(&Condition::default(), story.entries).await.unwrap();
        append(asked(1, 0)).await;
        append(rejected).await;
        check(&[("bob", Some("store"), Arc::new(same), 300, (25, 25))]).await;
        // Later records are added to those that were read before.
        append(asked(3, 200)).await;
        append(asked(4, DAY)).await;
        check(&[
            ("bob", Some("store"), Arc::new(same), 300, (50, 50)),
            ("bob", Some("store"), Arc::new(same), 300, (50, 50)),
            ("bob", None, Arc::new(same), DAY + 300, (25, 0)),
            ("carol", Some("store"), Arc::new(same), 300, (0, 50)),
            ("alice", Some("other"), Arc::new(all_alice), 300, (50, 0)),
            ("bob", Some("store"), Arc::new(same), 2 * DAY, (0, 0)),
        ])
        .await;
    }
}
