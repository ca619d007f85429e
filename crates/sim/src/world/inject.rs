//! Which faults bear on a request.

use super::World;
use crate::fault::Fault;

/// Faults that change how an accepted request goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modifiers {
    pub(crate) fails: Option<Failure>,
    pub(crate) stuck: bool,
    slow: Option<f64>,
    lag: i64,
}

/// How an operation will fail.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) message: Option<String>,
    pub(crate) leaves_resource: bool,
}

impl Modifiers {
    pub(crate) fn slow_factor(&self) -> f64 {
        self.slow.unwrap_or(1.0)
    }

    pub(crate) fn lag_ms(&self) -> i64 {
        self.lag
    }
}

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

    /// Takes over the faults that only modify the request's course.
    pub(crate) fn set_modifiers(&mut self, faults: &[Fault]) {
        let mut modifiers = Modifiers::default();
        for fault in faults {
            match fault {
                Fault::OperationFails { reason, message, leaves_resource } => {
                    modifiers.fails = Some(Failure {
                        reason: reason.clone(),
                        message: message.clone(),
                        leaves_resource: *leaves_resource,
                    });
                }
                Fault::OperationStuck => modifiers.stuck = true,
                Fault::Slow { factor } => modifiers.slow = Some(*factor),
                Fault::ListLag { ms } => modifiers.lag = *ms,
                Fault::Quota { resource, limit } => {
                    self.config.quotas.insert(resource.clone(), *limit);
                    self.count_effect("quota");
                }
                _ => {}
            }
        }
        self.modifiers = modifiers;
    }

    pub(crate) fn clear_modifiers(&mut self) {
        self.modifiers = Modifiers::default();
    }

    pub(crate) fn modifiers(&self) -> &Modifiers {
        &self.modifiers
    }
}
