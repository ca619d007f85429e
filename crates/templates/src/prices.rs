//! The dated price list that comes with the program, and lists from files.

use std::collections::BTreeMap;

use exokit_model::canonical::{CanonicalError, Digest, to_canonical_bytes};
use exokit_model::cost::PriceList;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};

use crate::error::{DecodeError, SourceLocation};
use crate::yaml;

/// Name of the embedded file.
const EMBEDDED_FILE: &str = "prices/2026-10.yaml";
/// The embedded list.
const EMBEDDED: &str = include_str!("../../../prices/2026-10.yaml");

/// Domain of price list digests.
const DIGEST_DOMAIN: &str = "exokit-prices/v1";

/// A price beyond this is a mistake; arithmetic stays exact below it.
const PRICE_MAX: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
/// Most decimal places of a price.
const PLACES_MAX: u32 = 10;
/// Longest source.
const SOURCE_CHARS_MAX: usize = 200;

/// The price list that comes with the program.
///
/// # Errors
/// Never in a program whose tests pass.
pub fn embedded() -> Result<PriceList, DecodeError> {
    decode(EMBEDDED_FILE, EMBEDDED)
}

/// Reads a price list.
///
/// # Errors
/// When it is not well formed, or a price is not a decimal number from 0 up.
pub fn decode(file: &str, text: &str) -> Result<PriceList, DecodeError> {
    let PriceFile { date, source, currency, hourly } = yaml::decode(file, text)?;
    if hourly.is_empty() {
        let (why, hint) = ("there are no prices".to_owned(), "state at least one".to_owned());
        return Err(DecodeError::new(file, SourceLocation::START, "hourly", why, hint));
    }
    let hourly = hourly.into_iter().map(|(Item(item), Price(price))| (item, price)).collect();
    Ok(PriceList { date, source, currency, hourly })
}

/// A list of one's own, with no price below the one that comes with the
/// program: prices decide who must approve, and this list is signed by nobody.
///
/// Numbers are compared whatever the currency, as the limits of the policy are.
#[must_use]
pub fn never_below(own: PriceList, known: &PriceList) -> PriceList {
    let least = |item: &String| known.hourly.get(item).copied().unwrap_or_default();
    let hourly = own.hourly.into_iter().map(|(item, price)| (item.clone(), price.max(least(&item))));
    PriceList { hourly: hourly.collect(), ..own }
}

/// Digest of a list, which every plan names.
///
/// # Errors
/// When the list has no canonical form.
pub fn digest(prices: &PriceList) -> Result<Digest, CanonicalError> {
    to_canonical_bytes("a price list", prices).map(|bytes| Digest::of(DIGEST_DOMAIN, &bytes))
}

/// Writes a list in the form that [`decode`] reads.
///
/// # Errors
/// When YAML cannot hold it.
pub fn encode(prices: &PriceList) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(prices)
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    #[serde(deserialize_with = "date")]
    date: String,
    #[serde(deserialize_with = "source")]
    source: String,
    #[serde(deserialize_with = "currency")]
    currency: String,
    hourly: BTreeMap<Item, Price>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Item(#[serde(deserialize_with = "item_name")] String);

#[derive(Deserialize)]
struct Price(#[serde(deserialize_with = "amount")] Decimal);

/// A text that `check` turns into a value; otherwise the error that it is not `what`.
fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    check: impl Fn(&str) -> Option<T>,
    what: &str,
    hint: &str,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    check(&text).ok_or_else(|| yaml::refuse(&format!("{:?} is not {what}", yaml::shorten(&text)), hint))
}

fn item_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/-.".contains(&b);
    let check =
        |text: &str| ((1..=80).contains(&text.len()) && text.bytes().all(letter)).then(|| text.to_owned());
    text(deserializer, check, "an item", "write one such as instance/standard/small")
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let check = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        // `from_str_exact` takes no more digits than it can keep.
        let price = plain.then(|| Decimal::from_str_exact(text).ok()).flatten()?;
        let good = (Decimal::ZERO..=PRICE_MAX).contains(&price) && price.scale() <= PLACES_MAX;
        good.then(|| price.normalize())
    };
    text(deserializer, check, "a price", "write a decimal number such as 0.02333, from 0 up")
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let check = |text: &str| {
        let date = text.parse::<jiff::civil::Date>().ok()?.to_string();
        (date == text).then_some(date)
    };
    text(deserializer, check, "a day", "write it as 2026-10-01")
}

fn source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let check = |text: &str| (1..=SOURCE_CHARS_MAX).contains(&text.chars().count()).then(|| text.to_owned());
    text(deserializer, check, "a source of 1 to 200 characters", "name where the prices come from")
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let check = |text: &str| {
        (text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())).then(|| text.to_owned())
    };
    text(deserializer, check, "a currency", "write three capital letters such as CHF")
}
