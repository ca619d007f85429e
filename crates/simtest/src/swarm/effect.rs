//! What faults do, as opposed to what was ordered: each effect by its name,
//! the fault of the failure model that it belongs to, and the states of the
//! protocol in which it must have been seen.

use std::collections::BTreeMap;
use std::fmt;

/// What an operation is at when something happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A plan is made, proposed or voted on.
    Asking,
    /// What is wanted is being made.
    Provisioning,
    /// The outcome of at least one create request is not known.
    Settling,
    /// What was made is being removed again.
    RollingBack,
    /// What the plan says is being removed.
    TearingDown,
    /// A human is waited for.
    Parked,
    /// No operation is under way.
    Resting,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [State; 7] = [
        State::Asking,
        State::Provisioning,
        State::Settling,
        State::RollingBack,
        State::TearingDown,
        State::Parked,
        State::Resting,
    ];

    /// A short name, for the head of a column.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            State::Asking => "asking",
            State::Provisioning => "provision",
            State::Settling => "settling",
            State::RollingBack => "rollback",
            State::TearingDown => "teardown",
            State::Parked => "parked",
            State::Resting => "at rest",
        }
    }
}

use State::TearingDown as T;
use State::{Asking as A, Parked as K, Provisioning as P, Resting as R, RollingBack as B, Settling as S};

/// An effect that must be seen, and where.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Number of the fault in the failure model.
    pub fault: u8,
    /// The name under which it is counted.
    pub effect: &'static str,
    /// States in which it must have been seen at least once in a whole run.
    pub states: &'static [State],
}

const fn row(fault: u8, effect: &'static str, states: &'static [State]) -> Row {
    Row { fault, effect, states }
}

/// Every effect that a whole run must show.
pub const ROWS: &[Row] = &[
    row(1, "crash", &[A, P, S, B, T]),
    row(1, "crash of the recovery", &[P, S, B, T]),
    row(2, "crash between effect and record", &[P, B, T]),
    row(3, "unsynced tail lost", &[P, T]),
    row(3, "unsynced tail kept", &[P, T]),
    row(3, "flipped bit in a record noticed", &[]),
    row(5, "refused: 400", &[P, B, T]),
    row(5, "refused: 404", &[P, B, T]),
    row(5, "refused: 409", &[P, B, T]),
    row(6, "refused: 429", &[A, P, S, B, T]),
    row(7, "5xx, not done", &[A, P, S, B, T]),
    row(7, "no reply, not done", &[A, P, S, B, T]),
    row(8, "5xx, done", &[P, B, T]),
    row(8, "no reply, done", &[P, B, T]),
    row(8, "garbled reply, done", &[P, B, T]),
    row(9, "late request executed", &[P, S, B, T]),
    row(9, "late request refused by its expiry", &[S, B, T]),
    row(10, "slow operation", &[P, T]),
    row(10, "failed operation", &[P, B, T]),
    row(10, "stuck operation", &[P, T]),
    row(11, "list misses what exists", &[P, S]),
    row(11, "list shows what is gone", &[T]),
    row(12, "garbled read", &[A, P, S, B, T]),
    row(12, "unknown field and state", &[A, P, S, B, T]),
    row(13, "plan proposed twice", &[A]),
    row(13, "vote cast twice", &[A]),
    row(13, "operation run twice at once", &[P, B, T]),
    row(13, "asked again under its key", &[A, P, T]),
    row(13, "request lost on the bus", &[A, P, T]),
    row(13, "reply lost on the bus", &[A, P, T]),
    row(13, "request delivered twice", &[A, P, T]),
    row(13, "request overtaken by a later one", &[A, P, T]),
    row(13, "event delivered again", &[]),
    row(14, "bus away: request lost", &[A, P, T]),
    row(14, "bus away: reply lost", &[]),
    row(14, "bus away: event refused", &[A, P, T]),
    row(14, "events lost before their confirmation", &[A, P, T]),
    row(14, "server restarted", &[P, T]),
    row(14, "server restarted: message lost", &[]),
    row(14, "stream rolled back", &[P, T]),
    row(14, "stream filled again", &[]),
    row(14, "gap filled from the list", &[]),
    row(14, "work went on while the bus was away", &[P, T]),
    row(15, "forged vote refused over the bus", &[P]),
    row(15, "altered sealed plan refused", &[P]),
    row(15, "sealed plan of another refused", &[P]),
    row(15, "key of another refused", &[P]),
    row(16, "zombie refused by the ledger", &[P, S, B, T]),
    row(16, "zombie's request refused by its expiry", &[S, T]),
    row(16, "lease waited out", &[P, S, B, T]),
    row(17, "clock wrong while acting", &[P, S, B, T]),
    row(17, "change refused for a wrong clock", &[P, B, T]),
    row(18, "disk full", &[A, P, S, B, T]),
    row(18, "write failed, kept", &[A, P, B, T]),
    row(18, "write failed, lost", &[A, P, B, T]),
    row(18, "request not acknowledged without its record", &[A]),
    row(19, "restored backup: left over found by the sweep", &[]),
    row(20, "credentials refused", &[A, P, S, B, T]),
    row(20, "parked, and a human let it go on", &[K]),
    row(21, "quota lowered", &[P]),
    row(22, "human deleted it", &[P, R, T]),
    row(22, "human changed its labels", &[P, R, T]),
    row(22, "human renamed it", &[P, R, T]),
    row(23, "look-alike with our labels", &[P, S, R, T]),
    row(23, "name taken by somebody else", &[P]),
    row(24, "load balancer of the cluster", &[R, T]),
    row(24, "volume of the cluster", &[A, R, T]),
    row(24, "found that no plan names", &[K]),
    row(25, "objects in the bucket", &[R]),
    row(25, "protected database", &[R]),
    row(26, "one-time secret lost, key replaced", &[]),
    row(27, "vote refused: self-approval", &[A]),
    row(27, "vote refused: duplicate", &[A]),
    row(28, "vote refused: replayed", &[A, P]),
    row(28, "vote refused: expired", &[A]),
    row(28, "vote refused: wrong-plan", &[A]),
    row(28, "vote refused: wrong-environment", &[A]),
    row(28, "vote refused: revoked-key", &[A]),
    row(28, "vote refused: bad-signature", &[A]),
    row(28, "denied while it ran", &[P, T]),
    row(28, "key revoked while it ran", &[P, T]),
    row(28, "denied over the bus, and it came to nothing", &[]),
    row(29, "altered plan refused", &[A]),
    row(29, "policy moved after the vote", &[A]),
    row(30, "structuring raised the level", &[A]),
    row(30, "structuring over the bus raised the level", &[]),
    row(31, "older roster refused", &[A]),
    row(31, "approver left before the start", &[A]),
    row(32, "hostile request refused", &[A]),
    row(32, "hostile message refused", &[P]),
    row(34, "too much at once, and told so", &[]),
    row(34, "task broke off, and it went on", &[]),
    row(35, "teardown during the provision refused", &[P]),
    row(35, "second teardown plan refused", &[T]),
    row(35, "expiry asked once", &[R]),
];

/// How often each effect was seen, by state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    seen: BTreeMap<(&'static str, State), u64>,
    /// Effects that no row names: a mistake in the table.
    unknown: BTreeMap<String, u64>,
}

impl Coverage {
    /// Counts an effect.
    pub fn note(&mut self, effect: &str, state: State) {
        match ROWS.iter().find(|row| row.effect == effect) {
            Some(row) => *self.seen.entry((row.effect, state)).or_default() += 1,
            None => *self.unknown.entry(effect.to_owned()).or_default() += 1,
        }
    }

    /// Adds what another run saw.
    pub fn add(&mut self, other: &Coverage) {
        for (place, count) in &other.seen {
            *self.seen.entry(*place).or_default() += count;
        }
        for (name, count) in &other.unknown {
            *self.unknown.entry(name.clone()).or_default() += count;
        }
    }

    /// How often an effect was seen in a state.
    #[must_use]
    pub fn count(&self, effect: &'static str, state: State) -> u64 {
        self.seen.get(&(effect, state)).copied().unwrap_or_default()
    }

    /// How often an effect was seen.
    #[must_use]
    pub fn total(&self, effect: &'static str) -> u64 {
        State::ALL.iter().map(|state| self.count(effect, *state)).sum()
    }

    /// What a whole run did not show: effects seen fewer than `least` times,
    /// and cells that must not be empty. With `only`, the other faults were
    /// not ordered and are not asked for.
    #[must_use]
    pub fn gaps(&self, least: u64, only: &[u8]) -> Vec<String> {
        let asked = ROWS.iter().filter(|row| only.is_empty() || only.contains(&row.fault));
        let mut gaps = Vec::new();
        for row in asked {
            let total = self.total(row.effect);
            if total < least {
                gaps.push(format!(
                    "F{} {}: seen {total} times, {least} are asked for",
                    row.fault, row.effect
                ));
            }
            let empty = row.states.iter().filter(|state| self.count(row.effect, **state) == 0);
            gaps.extend(
                empty.map(|state| format!("F{} {}: never while {}", row.fault, row.effect, state.short())),
            );
        }
        gaps.extend(self.unknown.keys().map(|name| format!("the table has no row for the effect `{name}`")));
        gaps
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| fault | effect | in all |")?;
        for state in State::ALL {
            write!(f, " {} |", state.short())?;
        }
        writeln!(f, "\n|---|---|---|{}", "---|".repeat(State::ALL.len()))?;
        for row in ROWS {
            write!(f, "| F{} | {} | {} |", row.fault, row.effect, self.total(row.effect))?;
            for state in State::ALL {
                match self.count(row.effect, state) {
                    0 => write!(f, " |")?,
                    count => write!(f, " {count} |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
