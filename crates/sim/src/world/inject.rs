//! Which faults bear on a request.

use super::World;
use crate::fault::Fault;

impl World {
    /// The faults of all rules that match this request. Counts matches, so it
    /// is called once per request.
    pub(crate) fn draw_faults(&mut self, operation: &str) -> Vec<Fault> {
        let since = self.now - self.started.unwrap_or(self.now);
        let mut drawn = Vec::new();
        for index in 0..self.config.faults.len() {
            let rule = &self.config.faults[index];
            if !rule.when.names(operation) || !rule.when.in_time(since) {
                continue;
            }
            self.rule_matches[index] += 1;
            let turn = rule.when.nth.is_none_or(|nth| nth == self.rule_matches[index]);
            let left = rule.when.times.is_none_or(|times| self.rule_fired[index] < times);
            let hit = turn && left && rule.when.probability.is_none_or(|p| self.chances.chance(p));
            if hit {
                self.rule_fired[index] += 1;
                drawn.push(rule.fault.clone());
            }
            self.touch();
        }
        drawn
    }

    /// Puts faults in force for the request that is handled next.
    pub(crate) fn set_active(&mut self, faults: &[Fault]) {
        for fault in faults {
            if let Fault::Quota { resource, limit } = fault {
                self.config.quotas.insert(resource.clone(), *limit);
                self.count_effect("quota");
            }
        }
        self.active = faults.to_vec();
    }

    /// The value that `pick` takes from the last fault in force that has one.
    pub(crate) fn active<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.active.iter().rev().find_map(pick)
    }

    /// How much longer an operation takes.
    pub(crate) fn slow_factor(&self) -> f64 {
        let factor = |fault: &Fault| if let Fault::Slow { factor } = fault { Some(*factor) } else { None };
        self.active(factor).unwrap_or(1.0)
    }

    /// How far lists lag behind.
    pub(crate) fn lag_ms(&self) -> i64 {
        let lag = |fault: &Fault| if let Fault::ListLag { ms } = fault { Some(*ms) } else { None };
        self.active(lag).unwrap_or(0)
    }
}
