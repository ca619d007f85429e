//! The dated price list that comes with the program, and lists from files.

use std::collections::BTreeMap;

use exokit_model::canonical::{CanonicalError, Digest, to_canonical_bytes};
use exokit_model::cost::PriceList;
use rust_decimal::Decimal;

use crate::error::DecodeError;
use crate::fields::{At, Decoder, Mode};
use crate::yaml;

/// Name of the embedded file.
const EMBEDDED_FILE: &str = "prices/2026-10.yaml";
/// The embedded list.
const EMBEDDED: &str = include_str!("../../../prices/2026-10.yaml");

/// Domain of price list digests.
const DIGEST_DOMAIN: &str = "exokit-prices/v1";

/// Keys of the file.
const KEYS: [&str; 4] = ["date", "source", "currency", "hourly"];

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
    let node = yaml::parse(file, text)?;
    let mut decoder = Decoder::new(file, Mode::Template);
    let root = decoder.open(&node, "", &KEYS)?;
    let mut hourly = BTreeMap::new();
    for (item, price) in root.pairs("hourly")? {
        hourly.insert(item_name(&item)?, amount(&price)?);
    }
    if hourly.is_empty() {
        let at = root.absent("hourly", ());
        return Err(at.refuse("there are no prices".to_owned(), "state at least one"));
    }
    Ok(PriceList {
        date: date(&root.need_text("date")?)?,
        source: source(&root.need_text("source")?)?,
        currency: currency(&root.need_text("currency")?)?,
        hourly,
    })
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

fn item_name(at: &At<String>) -> Result<String, DecodeError> {
    let good = !at.value.is_empty()
        && at.value.len() <= 80
        && at.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/-.".contains(&b));
    match good {
        true => Ok(at.value.clone()),
        false => {
            let why = format!("{:?} is not an item", yaml::shorten(&at.value));
            Err(at.refuse(why, "write one such as instance/standard/small"))
        }
    }
}

fn amount(at: &At<String>) -> Result<Decimal, DecodeError> {
    let plain = at.value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    // `from_str_exact` takes no more digits than it can keep.
    let price = plain
        .then(|| Decimal::from_str_exact(&at.value).ok())
        .flatten()
        .filter(|price| (Decimal::ZERO..=PRICE_MAX).contains(price))
        .filter(|price| price.scale() <= PLACES_MAX);
    price.map(|price| price.normalize()).ok_or_else(|| {
        let why = format!("{:?} is not a price", yaml::shorten(&at.value));
        at.refuse(why, "write a decimal number such as 0.02333, from 0 up")
    })
}

fn date(at: &At<String>) -> Result<String, DecodeError> {
    match at.value.parse::<jiff::civil::Date>() {
        Ok(date) if date.to_string() == at.value => Ok(at.value.clone()),
        _ => {
            let why = format!("{:?} is not a day", yaml::shorten(&at.value));
            Err(at.refuse(why, "write it as 2026-10-01"))
        }
    }
}

fn source(at: &At<String>) -> Result<String, DecodeError> {
    match at.value.chars().count() {
        1..=SOURCE_CHARS_MAX => Ok(at.value.clone()),
        _ => Err(at.refuse("too long or empty".to_owned(), "name where the prices come from")),
    }
}

fn currency(at: &At<String>) -> Result<String, DecodeError> {
    let good = at.value.len() == 3 && at.value.bytes().all(|b| b.is_ascii_uppercase());
    match good {
        true => Ok(at.value.clone()),
        false => {
            let why = format!("{:?} is not a currency", yaml::shorten(&at.value));
            Err(at.refuse(why, "write three capital letters such as CHF"))
        }
    }
}
