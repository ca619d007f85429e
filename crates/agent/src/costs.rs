//! What environments cost, by name for the dearest, and in one sum for all
//! others, so that the number of series is bounded whatever is asked for.

use std::sync::atomic::AtomicU64;

use exokit_ledger::EnvironmentView;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// How many environments have series of their own.
pub(crate) const NAMED_MAX: usize = 100;

/// Stands for all others. No environment can have this name.
pub(crate) const OTHERS: &str = "_others";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    environment: String,
    currency: String,
}

type Amounts = Family<Labels, Gauge<f64, AtomicU64>>;

/// Price and spend of the environments that are not gone.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    hourly: Amounts,
    spent: Amounts,
}

impl Costs {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "infra_environment_hourly_cost",
            "Estimated price per hour of the dearest environments, and of all others together",
            self.hourly.clone(),
        );
        registry.register(
            "infra_environment_spent",
            "What they have cost since their making began, at the prices of their plans",
            self.spent.clone(),
        );
    }

    /// Sets all amounts to what is true now.
    pub(crate) fn set(&self, environments: &[EnvironmentView], now: Timestamp) {
        self.hourly.clear();
        self.spent.clear();
        let mut costly: Vec<&EnvironmentView> = environments.iter().filter(|view| is_paid(view)).collect();
        costly.sort_by(|a, b| (b.hourly, &a.environment).cmp(&(a.hourly, &b.environment)));
        for (place, view) in costly.into_iter().enumerate() {
            let environment = match place < NAMED_MAX {
                true => view.environment.to_string(),
                false => OTHERS.to_owned(),
            };
            let labels = Labels { environment, currency: view.currency.clone() };
            let hourly = number(view.hourly);
            let hours = now.duration_since(view.created_at).as_secs_f64().max(0.0) / 3600.0;
            self.hourly.get_or_create(&labels).inc_by(hourly);
            self.spent.get_or_create(&labels).inc_by(hourly * hours);
        }
    }
}

/// Whether its making has begun.
fn is_paid(view: &EnvironmentView) -> bool {
    !matches!(view.phase.as_str(), "awaiting-approval" | "rejected")
}

/// As a metric has it.
pub(crate) fn number(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

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
    fn the_dearest_have_names_and_the_rest_is_one_sum() {
        let mut views: Vec<EnvironmentView> = (1..=150).map(|number| view(number, "ready")).collect();
        views.push(view(999, "awaiting-approval"));
        let mut registry = Registry::default();
        let costs = Costs::default();
        costs.register(&mut registry);
        // Twice, as when metrics are read twice.
        for _ in 0..2 {
            costs.set(&views, "2026-11-01T02:00:00Z".parse().unwrap());
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let value = |name: &str, environment: &str| -> Option<f64> {
            let start = format!("{name}{{environment=\"{environment}\",currency=\"CHF\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
        };
        assert_eq!(value("infra_environment_hourly_cost", "env-150"), Some(150.0));
        assert_eq!(value("infra_environment_spent", "env-051"), Some(102.0));
        assert_eq!(value("infra_environment_hourly_cost", "env-050"), None);
        assert_eq!(value("infra_environment_hourly_cost", "env-999"), None);
        let rest = (1..=50).sum::<u32>();
        assert_eq!(value("infra_environment_spent", OTHERS), Some(2.0 * f64::from(rest)));
        assert!(OTHERS.parse::<exokit_model::ids::EnvironmentName>().is_err(), "nobody has that name");
        assert_eq!(text.lines().filter(|line| line.starts_with("infra_")).count(), 2 * (NAMED_MAX + 1));
    }
}
