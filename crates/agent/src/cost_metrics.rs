//! Costs of environments: by name for the most expensive ones, and in one sum for
//! all others, so that the number of series is bounded.

use exokit_ledger::EnvironmentView;
use jiff::Timestamp;
use prometheus::{GaugeVec, Opts, Registry};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::metric_family::family;

/// Most environments with series of their own.
pub(crate) const NAMED_MAX: usize = 100;

/// Label value for all others. No environment can have this name.
pub(crate) const OTHERS: &str = "_others";

const LABELS: [&str; 2] = ["environment", "currency"];

/// Price and spend of the environments that are not gone.
#[derive(Debug)]
pub(crate) struct CostMetrics {
    hourly: GaugeVec,
    spent: GaugeVec,
}

impl CostMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let gauges = |name, help| family(registry, GaugeVec::new(Opts::new(name, help), &LABELS));
        let hourly =
            "Estimated price per hour of the most expensive environments, and of all others together";
        let spent = "Cost since the provision began, at the prices of the plans";
        Self {
            hourly: gauges("infra_environment_hourly_cost", hourly),
            spent: gauges("infra_environment_spent", spent),
        }
    }

    /// Sets all amounts to their current values.
    pub(crate) fn set(&self, environments: &[EnvironmentView], now: Timestamp) {
        self.hourly.reset();
        self.spent.reset();
        let mut costly: Vec<&EnvironmentView> = environments.iter().filter(|view| is_paid(view)).collect();
        costly.sort_by(|a, b| (b.hourly, &a.environment).cmp(&(a.hourly, &b.environment)));
        for (rank, view) in costly.into_iter().enumerate() {
            let environment = match rank < NAMED_MAX {
                true => view.environment.to_string(),
                false => OTHERS.to_owned(),
            };
            let labels = [&environment, &view.currency];
            let hourly = number(view.hourly);
            let hours = now.duration_since(view.created_at).as_secs_f64().max(0.0) / 3600.0;
            self.hourly.with_label_values(&labels).add(hourly);
            self.spent.with_label_values(&labels).add(hourly * hours);
        }
    }
}

/// Whether the provision has begun.
fn is_paid(view: &EnvironmentView) -> bool {
    !matches!(view.phase.as_str(), "awaiting-approval" | "rejected")
}

/// An amount as a sample.
pub(crate) fn number(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(number: usize, phase: &str) -> EnvironmentView {
        let text = format!(
            r#"{{"environment":"env-{number:03}","template":"T1","zone":"ch-dk-2","phase":"{phase}",
            "hourly":"{number}","currency":"CHF","created_at":"2026-11-01T00:00:00Z","expires_at":null,
            "ends_at":null,"keep_alive_seconds":null,"kept_until":null,"warned_of":null,"owner":"dana",
            "team":null,"level":1,"band":"LOW","made_by":"op_aaaaaaaaaaaaaaaa","operations":[],"resources":[]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_most_expensive_have_names_and_the_rest_is_one_sum() {
        let mut views: Vec<EnvironmentView> = (1..=150).map(|number| view(number, "ready")).collect();
        views.push(view(999, "awaiting-approval"));
        let registry = Registry::new();
        let costs = CostMetrics::register(&registry);
        // Twice, as when metrics are read twice.
        for _ in 0..2 {
            costs.set(&views, "2026-11-01T02:00:00Z".parse().unwrap());
        }
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let value = |name: &str, environment: &str| -> Option<f64> {
            let start = format!("{name}{{currency=\"CHF\",environment=\"{environment}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
        };
        assert_eq!(value("infra_environment_hourly_cost", "env-150"), Some(150.0));
        assert_eq!(value("infra_environment_spent", "env-051"), Some(102.0));
        assert_eq!(value("infra_environment_hourly_cost", "env-050"), None);
        assert_eq!(value("infra_environment_hourly_cost", "env-999"), None);
        let rest = (1..=50).sum::<u32>();
        assert_eq!(value("infra_environment_spent", OTHERS), Some(2.0 * f64::from(rest)));
        assert!(
            OTHERS.parse::<exokit_model::ids::EnvironmentName>().is_err(),
            "no environment has that name"
        );
        assert_eq!(text.lines().filter(|line| line.starts_with("infra_")).count(), 2 * (NAMED_MAX + 1));
    }
}
