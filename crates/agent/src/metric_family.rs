//! Registration of metric families.

use prometheus::Registry;
use prometheus::core::Collector;

pub(crate) fn family<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    const VALID: &str = "names of metrics are valid and unique";
    let collector = collector.expect(VALID);
    registry.register(Box::new(collector.clone())).expect(VALID);
    collector
}
