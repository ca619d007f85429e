//! Shrinking a schedule that fails to the few items that matter (delta
//! debugging), then making the items themselves smaller.

use super::schedule::{Schedule, Trouble, What};

/// The invariant that a finding breaks.
#[must_use]
pub fn invariant(finding: &str) -> &str {
    finding.split([' ', ':']).next().unwrap_or(finding)
}

/// The smallest schedule found that still breaks `invariant`, and how many
/// runs it took. `fails` runs a schedule and gives its findings.
pub fn minimise(
    schedule: &Schedule,
    broken: &str,
    fails: &mut dyn FnMut(&Schedule) -> Vec<String>,
) -> (Schedule, usize) {
    let mut runs = 0;
    let mut still = |candidate: &Schedule| {
        runs += 1;
        fails(candidate).iter().any(|finding| invariant(finding) == broken)
    };
    let mut best = schedule.clone();
    loop {
        let before = best.clone();
        drop_items(&mut best, &mut still);
        simplify(&mut best, &mut still);
        if best == before {
            return (best, runs);
        }
    }
}

/// Takes away as many items as it can, first in large parts.
fn drop_items(best: &mut Schedule, still: &mut dyn FnMut(&Schedule) -> bool) {
    let mut part = best.items.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < best.items.len() {
            let mut candidate = best.clone();
            let end = (at + part).min(candidate.items.len());
            candidate.items.drain(at..end);
            match still(&candidate) {
                true => *best = candidate,
                false => at = end,
            }
        }
        if part == 1 {
            return;
        }
        part = part.div_ceil(2);
    }
}

/// Tries a smaller template, a lower level and smaller numbers.
fn simplify(best: &mut Schedule, still: &mut dyn FnMut(&Schedule) -> bool) {
    let wholes: [fn(&mut Schedule); 3] = [
        |schedule| schedule.template = 1,
        |schedule| schedule.level = 1,
        |schedule| schedule.arrives_late = false,
    ];
    for change in wholes {
        attempt(best, still, change);
    }
    for at in 0..best.items.len() {
        for divide in [8, 2] {
            attempt(best, still, |schedule| smaller(&mut schedule.items[at].what, divide));
        }
    }
}

fn attempt(
    best: &mut Schedule,
    still: &mut dyn FnMut(&Schedule) -> bool,
    change: impl FnOnce(&mut Schedule),
) {
    let mut candidate = best.clone();
    change(&mut candidate);
    if candidate != *best && still(&candidate) {
        *best = candidate;
    }
}

/// Divides times and counts.
fn smaller(what: &mut What, divide: u32) {
    match what {
        What::Cloud(rule) => {
            rule.when.times = rule.when.times.map(|times| (times / u64::from(divide)).max(1));
        }
        What::Crash { polls, .. } => *polls /= u64::from(divide),
        What::Pause { polls, seconds, .. } => {
            *polls /= u64::from(divide);
            *seconds = (*seconds / divide).max(1);
        }
        What::Clock { at, seconds, .. } => {
            *at /= divide;
            *seconds = (*seconds / divide).max(1);
        }
        What::Act { at, .. } => *at /= divide,
        What::Bus(trouble) => smaller_on_the_bus(trouble, divide),
        What::Disk { .. }
        | What::Canary
        | What::Backup
        | What::Outlive
        | What::Flip { .. }
        | What::Vote { .. }
        | What::Ask(_)
        | What::Repeat { .. } => {}
    }
}

/// Divides times, of which only lengths mean less.
fn smaller_on_the_bus(trouble: &mut Trouble, divide: u32) {
    match trouble {
        Trouble::Away { seconds, .. } => *seconds = (*seconds / divide).max(1),
        Trouble::Flood { requests, .. } => *requests = (*requests / divide).max(1),
        Trouble::Redelivered { last, .. } => *last = (*last / divide).max(1),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::generate;
    use super::super::schedule::Stage;
    use super::*;

    #[test]
    fn only_what_matters_is_left() {
        let schedule = (1..).map(generate::schedule).find(|schedule| schedule.items.len() > 12).unwrap();
        let mut planted = schedule.clone();
        let crash =
            |polls| What::Crash { stage: Stage::Provision, process: 0, polls, keep: true, seen: true };
        let item = |polls| super::super::schedule::Item { fault: 1, what: crash(polls) };
        planted.items.insert(3, item(100));
        planted.items.push(item(7));
        let mut fails = |candidate: &Schedule| {
            let has = |wanted: &dyn Fn(u64) -> bool| {
                candidate
                    .items
                    .iter()
                    .any(|item| matches!(item.what, What::Crash { polls, .. } if wanted(polls)))
            };
            match has(&|polls| (50..=100).contains(&polls)) && has(&|polls| polls == 7) {
                true => vec!["I3 duplicate".to_owned()],
                false => vec!["I2 orphan".to_owned()],
            }
        };
        let (small, runs) = minimise(&planted, "I3", &mut fails);
        let polls: Vec<u64> = small
            .items
            .iter()
            .filter_map(|item| match item.what {
                What::Crash { polls, .. } => Some(polls),
                _ => None,
            })
            .collect();
        assert_eq!((small.items.len(), polls), (2, vec![50, 7]));
        assert!(runs < 300, "{runs}");
    }
}
