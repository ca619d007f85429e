//! What an environment costs, and how expensive that is.
//!
//! Every price comes from a dated list. A price that the list lacks is never
//! taken as zero: it is assumed from the nearest price that is known, rather
//! too high than too low, and named with the assumption, because approvers
//! decide by it.

use exokit_model::cost::{
    CostBand, CostEstimate, CostLine, CostPolicy, HOURS_PER_MONTH, PriceList, UnknownPrice,
};
use exokit_model::spec::{DatabaseEngine, EnvironmentSpec, SksLevel};
use rust_decimal::{Decimal, RoundingStrategy};

/// Instance sizes, smallest first. Each costs about twice the one before.
const SIZES: [&str; 12] = [
    "micro",
    "tiny",
    "small",
    "medium",
    "large",
    "extra-large",
    "huge",
    "mega",
    "titan",
    "titan48c",
    "jumbo",
    "colossus",
];

/// Assumed per hour for a whole resource when the list has nothing like it:
/// the upper end of the default HIGH band, so that ignorance never lowers an
/// approval level.
const UNLIKE_ANYTHING_HOURLY: Decimal = Decimal::ONE;

/// Assumed per GiB and hour when the list has nothing like it.
const UNLIKE_ANYTHING_GIB_HOURLY: Decimal = Decimal::from_parts(1, 0, 0, false, 3);

/// Assumed for the paid control plane: 30 per month, as the cloud's users
/// report; its price endpoint does not name it.
const SKS_PRO_MONTHLY: Decimal = Decimal::from_parts(30, 0, 0, false, 0);

/// Assumed for a load balancer: 25 per month.
const NLB_MONTHLY: Decimal = Decimal::from_parts(25, 0, 0, false, 0);

/// Decimal places of an assumed price.
const ASSUMED_PLACES: u32 = 6;

/// The band that an hourly rate falls into. Each threshold belongs to the
/// lower band.
#[must_use]
pub fn band(hourly: Decimal, policy: &CostPolicy) -> CostBand {
    if hourly <= policy.low_max {
        CostBand::Low
    } else if hourly <= policy.medium_max {
        CostBand::Medium
    } else if hourly <= policy.high_max {
        CostBand::High
    } else {
        CostBand::Extreme
    }
}

/// Estimates what an environment costs while it runs at its starting size.
///
/// Traffic out of the zone and growth by autoscaling are not in it: replicas
/// share the nodes that are paid for already.
#[must_use]
pub fn estimate(spec: &EnvironmentSpec, prices: &PriceList) -> CostEstimate {
    let mut bill = Bill { prices, lines: Vec::new(), unknown: Vec::new() };
    bill.cluster(spec);
    bill.nodes(spec);
    bill.network(spec);
    bill.data(spec);
    bill.finish(spec.ttl_seconds)
}

/// An assumed price of one unit, and why.
struct Assumed {
    unit: Decimal,
    why: String,
}

/// The estimate while it is being made.
struct Bill<'a> {
    prices: &'a PriceList,
    lines: Vec<CostLine>,
    unknown: Vec<UnknownPrice>,
}

impl Bill<'_> {
    fn cluster(&mut self, spec: &EnvironmentSpec) {
        let level = spec.cluster.level;
        let what = format!("control plane, level {level}");
        let item = format!("sks/{level}");
        self.add(what, item, Decimal::ONE, |_| assume_control_plane(level));
    }

    fn nodes(&mut self, spec: &EnvironmentSpec) {
        let (family, size) = (&spec.nodes.family, &spec.nodes.size);
        let count = Decimal::from(spec.nodes.count);
        self.add(
            format!("{count} nodes of {family} {size}"),
            format!("instance/{family}/{size}"),
            count,
            |prices| assume_instance(prices, family, size),
        );
        let gib = count.saturating_mul(Decimal::from(spec.nodes.disk_gb));
        let item = match family.as_str() {
            "storage" => "disk/storage/gib",
            _ => "disk/gib",
        };
        self.add(format!("local disk of the nodes, {gib} GiB"), item.to_owned(), gib, assume_disk);
    }

    fn network(&mut self, spec: &EnvironmentSpec) {
        if spec.workload.load_balancer {
            self.add("network load balancer".to_owned(), "nlb".to_owned(), Decimal::ONE, |_| {
                assume_monthly(NLB_MONTHLY)
            });
        }
    }

    fn data(&mut self, spec: &EnvironmentSpec) {
        if let Some(database) = &spec.database {
            let (engine, plan) = (database.engine, database.plan.as_str());
            self.add(
                format!("managed database {engine}, plan {plan}"),
                format!("dbaas/{engine}/{plan}"),
                Decimal::ONE,
                |prices| assume_database(prices, engine, plan),
            );
        }
        if spec.bucket.is_some() {
            self.add(
                "object storage: billed per GiB stored, nothing is stored at the start".to_owned(),
                "sos/gib".to_owned(),
                Decimal::ZERO,
                assume_disk,
            );
        }
        if let Some(block) = &spec.block_storage {
            self.add(
                format!("block storage, {} GiB", block.size_gb),
                "block/gib".to_owned(),
                Decimal::from(block.size_gb),
                assume_disk,
            );
        }
    }

    fn add(
        &mut self,
        what: String,
        item: String,
        quantity: Decimal,
        assume: impl FnOnce(&PriceList) -> Assumed,
    ) {
        let unit = match self.prices.hourly.get(&item) {
            Some(price) => *price,
            None => {
                let assumed = assume(self.prices);
                self.unknown.push(UnknownPrice {
                    item: item.as_str().into(),
                    assumed_hourly: assumed.unit.saturating_mul(quantity).normalize(),
                    assumption: assumed.why.into(),
                });
                assumed.unit
            }
        };
        let hourly = unit.saturating_mul(quantity).normalize();
        self.lines.push(CostLine { what: what.into(), item: item.into(), quantity, hourly });
    }

    fn finish(self, ttl_seconds: Option<u64>) -> CostEstimate {
        let hourly =
            self.lines.iter().fold(Decimal::ZERO, |sum, line| sum.saturating_add(line.hourly)).normalize();
        CostEstimate {
            currency: self.prices.currency.clone(),
            price_date: self.prices.date.clone(),
            hourly,
            monthly: hourly.saturating_mul(Decimal::from(HOURS_PER_MONTH)).normalize(),
            ttl: ttl_seconds.map(|seconds| for_seconds(hourly, seconds)),
            lines: self.lines,
            unknown: self.unknown,
        }
    }
}

/// What an hourly rate comes to in `seconds`, which is how the cloud bills.
#[must_use]
pub fn for_seconds(hourly: Decimal, seconds: u64) -> Decimal {
    round(hourly.saturating_mul(Decimal::from(seconds) / Decimal::from(3600)))
}

fn assume_monthly(monthly: Decimal) -> Assumed {
    let why = format!("{monthly} per month of {HOURS_PER_MONTH} h is assumed");
    Assumed { unit: round(monthly / Decimal::from(HOURS_PER_MONTH)), why }
}

fn round(price: Decimal) -> Decimal {
    price.round_dp_with_strategy(ASSUMED_PLACES, RoundingStrategy::AwayFromZero).normalize()
}

fn assume_control_plane(level: SksLevel) -> Assumed {
    match level {
        SksLevel::Starter => Assumed {
            unit: Decimal::ZERO,
            why: "the cloud documents level starter as free of charge".to_owned(),
        },
        SksLevel::Pro => assume_monthly(SKS_PRO_MONTHLY),
    }
}

/// Storage of any kind is assumed to cost what local disk costs.
fn assume_disk(prices: &PriceList) -> Assumed {
    match prices.hourly.get("disk/gib") {
        Some(disk) => Assumed {
            unit: *disk,
            why: format!("the price of local disk, {disk} per GiB and hour, is assumed"),
        },
        None => Assumed {
            unit: UNLIKE_ANYTHING_GIB_HOURLY,
            why: format!(
                "the list has no price of storage; {UNLIKE_ANYTHING_GIB_HOURLY} per GiB and hour is assumed"
            ),
        },
    }
}

/// Last resort: the dearest item of the same sort, ties by name.
fn assume_dearest(prices: &PriceList, prefix: &str) -> Assumed {
    let alike = prices.hourly.iter().filter(|(item, _)| item.starts_with(prefix));
    match alike.max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0))) {
        Some((item, price)) => Assumed {
            unit: *price,
            why: format!(
                "nothing like it is in the list; the dearest, {item} at {price} per hour, is assumed"
            ),
        },
        None => Assumed {
            unit: UNLIKE_ANYTHING_HOURLY,
            why: format!("nothing like it is in the list; {UNLIKE_ANYTHING_HOURLY} per hour is assumed"),
        },
    }
}

/// From a smaller size of the family, doubled for each step; else from the
/// next larger one; else from the dearest instance of all.
fn assume_instance(prices: &PriceList, family: &str, size: &str) -> Assumed {
    let Some(wanted) = SIZES.iter().position(|known| *known == size) else {
        return assume_dearest(prices, "instance/");
    };
    let price_of = |index: usize| {
        let item = format!("instance/{family}/{}", SIZES[index]);
        prices.hourly.get(&item).map(|price| (index, *price))
    };
    if let Some((index, price)) = (0..wanted).rev().find_map(price_of) {
        let steps = wanted - index;
        let unit = (0..steps).fold(price, |price, _| price.saturating_mul(Decimal::TWO));
        return Assumed {
            unit,
            why: format!(
                "{family} {} at {price} per hour, doubled for each of {steps} sizes between, is assumed",
                SIZES[index]
            ),
        };
    }
    match (wanted + 1..SIZES.len()).find_map(price_of) {
        Some((index, price)) => Assumed {
            unit: price,
            why: format!("{family} {} at {price} per hour, the next larger size, is assumed", SIZES[index]),
        },
        None => assume_dearest(prices, "instance/"),
    }
}

/// How much machine a plan is: nodes times GiB of memory. The number in a
/// plan's name is the memory of each node.
fn plan_weight(plan: &str) -> Option<Decimal> {
    let (tier, memory) = plan.rsplit_once('-')?;
    let nodes = match tier {
        "hobbyist" | "startup" => 1,
        "business" => 2,
        "premium" => 3,
        _ => return None,
    };
    let memory: u32 = memory.parse().ok().filter(|gib| *gib > 0)?;
    Some(Decimal::from(nodes).saturating_mul(Decimal::from(memory)))
}

/// A known plan of the same engine, scaled to the wanted one.
struct Scaled<'a> {
    plan: &'a str,
    price: Decimal,
    weight: Decimal,
    unit: Decimal,
}

/// From the next smaller and the next larger known plan of the engine, scaled
/// by nodes times memory, the higher of the two.
fn assume_database(prices: &PriceList, engine: DatabaseEngine, plan: &str) -> Assumed {
    let prefix = format!("dbaas/{engine}/");
    let Some(wanted) = plan_weight(plan) else {
        return assume_dearest(prices, "dbaas/");
    };
    let known: Vec<Scaled<'_>> = prices
        .hourly
        .iter()
        .filter_map(|(item, price)| {
            let plan = item.strip_prefix(&prefix)?;
            let weight = plan_weight(plan)?;
            Some(Scaled { plan, price: *price, weight, unit: round(price.saturating_mul(wanted / weight)) })
        })
        .collect();
    let below = known.iter().filter(|other| other.weight <= wanted).max_by_key(|other| other.weight);
    let above = known.iter().filter(|other| other.weight >= wanted).min_by_key(|other| other.weight);
    match (below, above) {
        (Some(low), Some(high)) => assume_between(low, high),
        (Some(only), None) | (None, Some(only)) => Assumed {
            unit: only.unit,
            why: format!(
                "{} at {} per hour, scaled by nodes × GiB of memory, is assumed",
                only.plan, only.price
            ),
        },
        (None, None) if engine == DatabaseEngine::Valkey => assume_as_pg(prices, plan),
        (None, None) => assume_dearest(prices, "dbaas/"),
    }
}

fn assume_between(low: &Scaled<'_>, high: &Scaled<'_>) -> Assumed {
    Assumed {
        unit: low.unit.max(high.unit),
        why: format!(
            "{} at {} and {} at {} per hour, scaled by nodes × GiB of memory, give {} and {}; the higher is assumed",
            low.plan, low.price, high.plan, high.price, low.unit, high.unit
        ),
    }
}

fn assume_as_pg(prices: &PriceList, plan: &str) -> Assumed {
    let engine = DatabaseEngine::Pg;
    match prices.hourly.get(&format!("dbaas/{engine}/{plan}")) {
        Some(price) => {
            Assumed { unit: *price, why: format!("as {engine} of the same plan, {price} per hour") }
        }
        None => {
            let assumed = assume_database(prices, engine, plan);
            Assumed { unit: assumed.unit, why: format!("as {engine} of the same plan: {}", assumed.why) }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use exokit_model::spec::{
        BlockStorageSpec, BucketAcl, BucketSpec, ClusterSpec, Cni, DatabaseSpec, EnvironmentClass, NodesSpec,
        Quantities, ResourcesSpec, WorkloadSpec,
    };
    use proptest::prelude::*;

    use super::*;

    /// One small node and nothing beside it.
    pub(crate) fn spec() -> EnvironmentSpec {
        let quantities = Quantities { cpu: "100m".to_owned(), memory: "128Mi".to_owned() };
        EnvironmentSpec {
            environment: "e".parse().unwrap(),
            project: "e".to_owned(),
            class: EnvironmentClass::Test,
            template: "T1".parse().unwrap(),
            zone: "ch-dk-2".parse().unwrap(),
            cluster: ClusterSpec {
                level: SksLevel::Starter,
                cni: Cni::Calico,
                addons: Vec::new(),
                version: None,
            },
            nodes: NodesSpec {
                family: "standard".to_owned(),
                size: "small".to_owned(),
                count: 1,
                disk_gb: 20,
                labels: BTreeMap::new(),
            },
            database: None,
            bucket: None,
            block_storage: None,
            workload: WorkloadSpec {
                namespace: "n".to_owned(),
                service: "s".to_owned(),
                image: "i".to_owned(),
                registry_login: None,
                replicas: 1,
                port: 5000,
                service_port: 5000,
                node_port: 30001,
                resources: ResourcesSpec { requests: quantities.clone(), limits: quantities },
                autoscaling: None,
                min_available: None,
                load_balancer: false,
                ingress: None,
            },
            hardened: false,
            observability: false,
            agents: Vec::new(),
            ttl_seconds: None,
            keep_alive_seconds: None,
            at_expiry: exokit_model::spec::AtExpiry::Ask,
        }
    }

    pub(crate) fn database(engine: DatabaseEngine, plan: &str) -> DatabaseSpec {
        DatabaseSpec { engine, version: None, plan: plan.to_owned(), termination_protection: false }
    }

    pub(crate) fn block(size_gb: u32) -> BlockStorageSpec {
        BlockStorageSpec {
            storage_class: "exoscale-sbs".to_owned(),
            size_gb,
            access_mode: "ReadWriteOnce".to_owned(),
            mount_path: "/data".to_owned(),
        }
    }

    pub(crate) fn bucket() -> BucketSpec {
        BucketSpec { suffix: "b".to_owned(), acl: BucketAcl::Private }
    }

    pub(crate) fn prices(items: &[(&str, &str)]) -> PriceList {
        PriceList {
            date: "2026-10-01".to_owned(),
            source: "test".to_owned(),
            currency: "CHF".to_owned(),
            hourly: items.iter().map(|(item, price)| ((*item).to_owned(), price.parse().unwrap())).collect(),
        }
    }

    const BASE: [(&str, &str); 4] =
        [("sks/starter", "0"), ("instance/standard/small", "0.02"), ("disk/gib", "0.0001"), ("nlb", "0.03")];

    #[test]
    fn known_prices_add_up_and_nothing_is_assumed() {
        let mut spec = spec();
        spec.nodes.count = 3;
        spec.workload.load_balancer = true;
        spec.ttl_seconds = Some(5400);
        let cost = estimate(&spec, &prices(&BASE));
        assert_eq!(cost.hourly.to_string(), "0.096");
        assert_eq!(cost.monthly.to_string(), "69.12");
        assert_eq!(cost.ttl.unwrap().to_string(), "0.144");
        assert_eq!(cost.unknown, []);
        assert_eq!(cost.lines.len(), 4);
    }

    #[test]
    fn an_empty_bucket_is_a_line_that_says_so() {
        let mut spec = spec();
        spec.bucket = Some(bucket());
        let cost = estimate(&spec, &prices(&BASE));
        let line = cost.lines.iter().find(|line| line.item == "sos/gib");
        assert!(line.unwrap().what.raw().contains("nothing is stored"));
        assert_eq!(cost.unknown.len(), 1);
    }

    /// The assumed unit price of the one unknown item.
    #[track_caller]
    fn check(spec: &EnvironmentSpec, more: &[(&str, &str)], item: &str, unit: &str, why: &str) {
        let mut items = BASE.to_vec();
        items.extend(more);
        let cost = estimate(spec, &prices(&items));
        let unknown: Vec<_> =
            cost.unknown.iter().map(|u| (u.item.raw(), u.assumed_hourly.to_string())).collect();
        assert_eq!(unknown, [(item, unit.to_owned())]);
        assert!(cost.unknown[0].assumption.raw().contains(why), "{cost:?}");
    }

    #[test]
    fn an_unknown_database_is_assumed_from_its_neighbours() {
        let known = [("dbaas/pg/hobbyist-2", "0.06"), ("dbaas/pg/premium-4", "0.39")];
        let with = |engine, plan| {
            let mut spec = spec();
            spec.database = Some(database(engine, plan));
            spec
        };
        let pg = DatabaseEngine::Pg;
        let startup = with(pg, "startup-4");
        check(&startup, &known, "dbaas/pg/startup-4", "0.13", "the higher");
        check(&startup, &known[..1], "dbaas/pg/startup-4", "0.12", "scaled");
        check(&startup, &[], "dbaas/pg/startup-4", "1", "nothing like it");
        check(&with(pg, "odd"), &known, "dbaas/pg/odd", "0.39", "the dearest");
        let valkey = with(DatabaseEngine::Valkey, "startup-4");
        check(&valkey, &known, "dbaas/valkey/startup-4", "0.13", "as pg of the same plan:");
        let same = [("dbaas/pg/startup-4", "0.1")];
        check(&valkey, &same, "dbaas/valkey/startup-4", "0.1", "as pg of the same plan, 0.1");
    }

    #[test]
    fn an_unknown_node_level_or_volume_is_assumed() {
        let sized = |family: &str, size: &str| {
            let mut spec = spec();
            spec.nodes.family = family.to_owned();
            spec.nodes.size = size.to_owned();
            spec
        };
        check(&sized("standard", "large"), &[], "instance/standard/large", "0.08", "doubled");
        check(&sized("standard", "tiny"), &[], "instance/standard/tiny", "0.02", "next larger");
        check(&sized("cpu", "huge"), &[], "instance/cpu/huge", "0.02", "the dearest");
        let mut pro = spec();
        pro.cluster.level = SksLevel::Pro;
        check(&pro, &[], "sks/pro", "0.041667", "30 per month");
        let mut volume = spec();
        volume.block_storage = Some(block(10));
        check(&volume, &[], "block/gib", "0.001", "local disk");
    }

    #[test]
    fn a_threshold_belongs_to_the_lower_band() {
        let policy = CostPolicy::default();
        for (hourly, expected) in [
            ("0", CostBand::Low),
            ("0.05", CostBand::Low),
            ("0.050001", CostBand::Medium),
            ("0.20", CostBand::Medium),
            ("0.21", CostBand::High),
            ("1", CostBand::High),
            ("1.000001", CostBand::Extreme),
        ] {
            assert_eq!(band(hourly.parse().unwrap(), &policy), expected, "{hourly}");
        }
    }

    proptest! {
        #[test]
        fn an_estimate_is_total_and_never_silently_zero(
            count in any::<u32>(), disk in any::<u32>(), size in any::<u32>(), ttl in any::<u64>(),
            plan in "[a-z]{0,8}-?[0-9]{0,12}", keep in prop::collection::vec(any::<bool>(), 4),
            huge in any::<bool>(),
        ) {
            let mut spec = spec();
            spec.nodes.count = count;
            spec.nodes.disk_gb = disk;
            spec.block_storage = Some(block(size));
            spec.database = Some(database(DatabaseEngine::Valkey, &plan));
            spec.ttl_seconds = Some(ttl);
            let mut list = prices(&BASE);
            let mut keep = keep.into_iter();
            list.hourly.retain(|_, _| keep.next().unwrap_or(true));
            if huge {
                list.hourly.insert("dbaas/pg/startup-4".to_owned(), Decimal::MAX);
            }
            let cost = estimate(&spec, &list);
            let sum = cost.lines.iter().fold(Decimal::ZERO, |sum, line| sum.saturating_add(line.hourly));
            prop_assert_eq!(cost.hourly, sum);
            for line in &cost.lines {
                let known = list.hourly.contains_key(line.item.raw());
                let named = cost.unknown.iter().any(|u| u.item == line.item && !u.assumption.raw().is_empty());
                prop_assert!(known != named, "{}", line.item);
            }
        }
    }
}
