//! Prices, estimates, cost bands and approval levels as data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::text::ForeignText;

/// Hours in the month that the cloud bills by.
pub const HOURS_PER_MONTH: u32 = 720;

/// A dated list of prices for one currency, excluding VAT.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// Day of the list, as `YYYY-MM-DD`.
    pub date: String,
    /// Where it came from.
    pub source: String,
    /// ISO 4217 code, such as `CHF`.
    pub currency: String,
    /// Price per hour and unit by item, such as `instance/standard/small`.
    pub hourly: BTreeMap<String, Decimal>,
}

/// Decimal places to which two prices are compared: Exoscale rounds the hourly
/// rates that it derives from monthly prices.
const COMPARED_PLACES: u32 = 4;

impl PriceList {
    /// The public prices that this list lacks or states differently, by item.
    #[must_use]
    pub fn differences(&self, public: &BTreeMap<String, Decimal>) -> Vec<PriceDifference> {
        let rounded = |price: Decimal| price.round_dp(COMPARED_PLACES);
        let difference = |(item, public): (&String, &Decimal)| {
            let ours = self.hourly.get(item).copied();
            let is_same = ours.map(rounded) == Some(rounded(*public));
            (!is_same).then(|| PriceDifference { item: item.clone(), ours, public: *public })
        };
        public.iter().filter_map(difference).collect()
    }
}

/// One price that is not the public one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceDifference {
    /// The item.
    pub item: String,
    /// Its price in the list; none when the list lacks it.
    pub ours: Option<Decimal>,
    /// Its public price.
    pub public: Decimal,
}

/// One line of an estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostLine {
    /// What is paid for, in words.
    pub what: ForeignText,
    /// Item in the price list.
    pub item: ForeignText,
    /// How many units.
    pub quantity: Decimal,
    /// Price per hour of all units; for an unknown price the assumption.
    pub hourly: Decimal,
}

/// A price that the list lacks, and what is assumed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnknownPrice {
    /// Item in the price list.
    pub item: ForeignText,
    /// Assumed price per hour of all units.
    pub assumed_hourly: Decimal,
    /// Why this is assumed.
    pub assumption: ForeignText,
}

/// What an environment is estimated to cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostEstimate {
    /// ISO 4217 code.
    pub currency: String,
    /// Day of the price list.
    pub price_date: String,
    /// Per hour.
    pub hourly: Decimal,
    /// Per month of 720 hours.
    pub monthly: Decimal,
    /// For the time to live; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Decimal>,
    /// The parts.
    pub lines: Vec<CostLine>,
    /// Prices that the list lacks, each with its assumption.
    pub unknown: Vec<UnknownPrice>,
}

/// How expensive an environment is per hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CostBand {
    /// At most the LOW threshold.
    Low,
    /// At most the MEDIUM threshold.
    Medium,
    /// At most the HIGH threshold.
    High,
    /// Above.
    Extreme,
}

impl fmt::Display for CostBand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How many persons must agree: level 1 none, level 2 one, level 3 two of two
/// roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum ApprovalLevel {
    /// Runs at once and notifies.
    One = 1,
    /// Needs one person who is not the requester.
    Two,
    /// Needs two persons of two roles, neither the requester.
    Three,
}

impl ApprovalLevel {
    /// How many distinct persons must approve.
    #[must_use]
    pub fn persons(self) -> usize {
        usize::from(u8::from(self) - 1)
    }
}

impl From<ApprovalLevel> for u8 {
    fn from(level: ApprovalLevel) -> u8 {
        level as u8
    }
}

impl TryFrom<u8> for ApprovalLevel {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(ApprovalLevel::One),
            2 => Ok(ApprovalLevel::Two),
            3 => Ok(ApprovalLevel::Three),
            _ => Err(format!("an approval level is 1, 2 or 3, not {number}")),
        }
    }
}

impl JsonSchema for ApprovalLevel {
    fn schema_name() -> Cow<'static, str> {
        "ApprovalLevel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "description": "An approval level", "minimum": 1, "maximum": 3 })
    }
}

impl fmt::Display for ApprovalLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", u8::from(*self))
    }
}

/// A rule that set the approval level, and what it demanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelReason {
    /// The level that the rule demands.
    pub level: ApprovalLevel,
    /// The rule, in words.
    pub why: ForeignText,
}

/// Thresholds and caps. Part of the signed roster, so that a weaker policy
/// cannot be slipped in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostPolicy {
    /// Upper end of LOW per hour.
    pub low_max: Decimal,
    /// Upper end of MEDIUM per hour.
    pub medium_max: Decimal,
    /// Upper end of HIGH per hour.
    pub high_max: Decimal,
    /// Cap per request, per hour; above it the level is 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hourly_max: Option<Decimal>,
    /// Cap on the sum of hourly rates that one requester asks for in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester_daily_max: Option<Decimal>,
    /// Cap on the sum of hourly rates that one team asks for in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_daily_max: Option<Decimal>,
    /// Longest life of an environment in seconds, with all extensions. None:
    /// there is no limit, and an environment may live without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_seconds_max: Option<u64>,
}

impl Default for CostPolicy {
    fn default() -> Self {
        Self {
            low_max: Decimal::new(5, 2),
            medium_max: Decimal::new(20, 2),
            high_max: Decimal::new(100, 2),
            request_hourly_max: None,
            requester_daily_max: Some(Decimal::new(500, 2)),
            team_daily_max: Some(Decimal::new(2000, 2)),
            life_seconds_max: None,
        }
    }
}
