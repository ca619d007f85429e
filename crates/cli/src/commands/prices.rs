//! `exokit prices`: the list in use, and the public one.

use std::collections::BTreeMap;

use bytes::Bytes;
use exokit_cloud::network::{NetworkOptions, real};
use exokit_cloud::transport::Transport;
use exokit_model::cost::PriceList;
use exokit_templates::prices;
use exokit_text::format::{amount, table};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::args::{CloudName, PricesCommand};
use crate::embedded;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{own_prices, price_list};
use crate::settings::Settings;
use crate::state_dir::replace;

/// Where the public price lists are.
const SOURCE: &str = "https://portal.exoscale.com/api/pricing";

/// How a key of a public list becomes an item of ours.
type Naming = fn(&str) -> Option<String>;

/// The lists.
const LISTS: [(&str, Naming); 3] = [("opencompute", compute_item), ("sos", sos_item), ("dbaas-pg", pg_item)];

pub(crate) async fn run(settings: &Settings, command: &PricesCommand) -> Result<Exit, CliError> {
    let used = price_list(settings)?;
    let current = own_prices(settings)?.unwrap_or_else(|| used.clone());
    match command {
        PricesCommand::Show => {
            settings.output.data(&used, || show(&used))?;
            Ok(Exit::Done)
        }
        PricesCommand::Update => update(settings, current).await,
        PricesCommand::Verify => verify(settings, &current).await,
    }
}

fn show(list: &PriceList) -> String {
    let rows: Vec<Vec<String>> =
        list.hourly.iter().map(|(item, price)| vec![item.clone(), amount(*price)]).collect();
    format!(
        "Prices of {} in {} without VAT, from {}\n\n{}",
        list.date,
        list.currency,
        list.source,
        table(&["ITEM", "PER HOUR AND UNIT"], &rows)
    )
}

async fn update(settings: &Settings, current: PriceList) -> Result<Exit, CliError> {
    let path = settings.place()?.state.prices();
    let public = fetch(settings, &current.currency).await?;
    let changed = changes(&current, &public);
    let clock = exokit_cloud::clock::SystemClock;
    let today = exokit_cloud::clock::Clock::now(&clock).to_zoned(TimeZone::UTC).date();
    let mut next = current;
    // What the public lists do not name stays as it was.
    next.hourly.extend(public);
    next.date = today.to_string();
    next.source = format!("{SOURCE}/opencompute");
    let text = prices::encode(&next).map_err(|error| std::io::Error::other(error.to_string()));
    let text = text.doing("writing", path.display())?;
    prices::decode(&path.display().to_string(), &text).doing("checking", "the new prices")?;
    replace(&path, text.as_bytes())?;
    let value = json!({ "file": path, "date": next.date, "changed": changed });
    settings.output.data(&value, || {
        format!("{}\nThe prices of {} are in {}.\n", difference(&changed), next.date, path.display())
    })?;
    Ok(Exit::Done)
}

async fn verify(settings: &Settings, current: &PriceList) -> Result<Exit, CliError> {
    let public = fetch(settings, &current.currency).await?;
    let changed = changes(current, &public);
    let value = json!({ "date": current.date, "compared": public.len(), "changed": changed });
    settings.output.data(&value, || difference(&changed))?;
    Ok(if changed.is_empty() { Exit::Done } else { Exit::Failed })
}

/// One price that is not the public one.
#[derive(Debug, serde::Serialize)]
struct Changed {
    item: String,
    ours: Option<Decimal>,
    public: Decimal,
}

fn changes(current: &PriceList, public: &BTreeMap<String, Decimal>) -> Vec<Changed> {
    let differs = |(item, price): (&String, &Decimal)| {
        let ours = current.hourly.get(item).copied();
        // Prices by the month are rounded by whoever wrote them down.
        let same = ours.is_some_and(|ours| ours.round_dp(4) == price.round_dp(4));
        (!same).then(|| Changed { item: item.clone(), ours, public: *price })
    };
    public.iter().filter_map(differs).collect()
}

fn difference(changed: &[Changed]) -> String {
    if changed.is_empty() {
        return "The prices in use are the public ones.\n".to_owned();
    }
    let rows: Vec<Vec<String>> = changed
        .iter()
        .map(|changed| {
            vec![
                changed.item.clone(),
                changed.ours.map_or_else(|| "unknown".to_owned(), amount),
                amount(changed.public),
            ]
        })
        .collect();
    table(&["ITEM", "IN USE", "PUBLIC"], &rows)
}

/// The public prices under our names.
async fn fetch(settings: &Settings, currency: &str) -> Result<BTreeMap<String, Decimal>, CliError> {
    let transport = transport(settings)?;
    let mut found = BTreeMap::new();
    for (list, name) in LISTS {
        let url = format!("{SOURCE}/{list}");
        let value = get(&transport, &url).await?;
        let prices = value.get(currency.to_ascii_lowercase()).and_then(Value::as_object);
        let unexpected = || {
            let why = format!("it has no prices in {currency}");
            CliError::new(
                "prices",
                "reading",
                &url,
                why,
                "keep the prices in use; the format may have changed",
            )
        };
        for (key, price) in prices.ok_or_else(unexpected)? {
            let price = price.as_str().and_then(|text| text.parse::<Decimal>().ok());
            if let (Some(item), Some(price)) = (name(key), price) {
                found.insert(item, price);
            }
        }
    }
    Ok(found)
}

fn transport(settings: &Settings) -> Result<Transport, CliError> {
    match &settings.place {
        Ok(place) if place.cloud == CloudName::Sim => {
            let clock = std::sync::Arc::new(exokit_cloud::clock::SystemClock);
            Ok(embedded::open(&place.state, place.speed, clock)?.transport)
        }
        _ => real(&NetworkOptions::default()).doing("preparing", "the network"),
    }
}

async fn get(transport: &Transport, url: &str) -> Result<Value, CliError> {
    let broken = |why: &dyn std::fmt::Display| {
        CliError::new("prices", "reading", url, why, "try again later; the prices in use stay as they are")
    };
    let request = http::Request::get(url).body(Bytes::new()).map_err(|error| broken(&error))?;
    let reply = transport.clone().oneshot(request).await.doing("fetching", url)?;
    if !reply.status().is_success() {
        return Err(broken(&format!("the answer has status {}", reply.status())));
    }
    serde_json::from_slice(reply.body()).map_err(|error| broken(&error))
}

/// `running_cpu_extra_large` is `instance/cpu/extra-large`.
fn compute_item(key: &str) -> Option<String> {
    let plain = match key {
        "volume" => "disk/gib",
        "volume_data" => "disk/storage/gib",
        "snapshot" => "snapshot/gib",
        "template" => "template/gib",
        "load_balancer" | "network_load_balancer" => "nlb",
        "elastic_ip" => "elastic-ip",
        _ => "",
    };
    if !plain.is_empty() {
        return Some(plain.to_owned());
    }
    let machine = key.strip_prefix("running_")?;
    let families = ["cpu", "memory", "storage", "gpu", "gpu2", "gpu3"];
    let family =
        families.iter().find_map(|family| Some((*family, machine.strip_prefix(family)?.strip_prefix('_')?)));
    let (family, size) = family.unwrap_or(("standard", machine));
    let size = size.replace('_', "-");
    let good = size.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    good.then(|| format!("instance/{family}/{size}"))
}

fn sos_item(key: &str) -> Option<String> {
    (key == "storage").then(|| "sos/gib".to_owned())
}

fn pg_item(key: &str) -> Option<String> {
    let good = key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    good.then(|| format!("dbaas/pg/{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_become_items() {
        for (key, item) in [
            ("running_small", "instance/standard/small"),
            ("running_extra_large", "instance/standard/extra-large"),
            ("running_cpu_titan48c", "instance/cpu/titan48c"),
            ("running_gpu3_small", "instance/gpu3/small"),
            ("load_balancer", "nlb"),
        ] {
            assert_eq!(compute_item(key).as_deref(), Some(item));
        }
        assert_eq!(compute_item("outbound_traffic"), None);
        assert_eq!(compute_item("running_../x"), None);
    }
}
