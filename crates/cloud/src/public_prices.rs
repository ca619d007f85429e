//! The price lists that Exoscale publishes, under the item names of a
//! [`PriceList`](exokit_model::cost::PriceList). They need no credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rust_decimal::Decimal;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::client::Client;
use crate::transport::{Transport, TransportError};

/// Address below which the lists are.
const BASE_URL: &str = "https://portal.exoscale.com/api/pricing";

/// Longest wait for one list.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Converts a key of a public list to an item; none for a key without one.
type ItemOfKey = fn(&str) -> Option<String>;

/// The lists that are read.
const LISTS: [(&str, ItemOfKey); 3] =
    [("opencompute", compute_item), ("sos", sos_item), ("dbaas-pg", postgres_item)];

/// Why the public prices are not known.
#[derive(Debug, thiserror::Error)]
pub enum PublicPricesError {
    /// No complete reply came back.
    #[error("could not fetch {url}")]
    Transport {
        /// Address of the list.
        url: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// No reply within `LIST_TIMEOUT`.
    #[error("{url} did not answer within {} s", LIST_TIMEOUT.as_secs())]
    Timeout {
        /// Address of the list.
        url: String,
    },
    /// The reply is no list of prices in this currency.
    #[error("could not read {url}: {why}")]
    Unreadable {
        /// Address of the list.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl PublicPricesError {
    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            PublicPricesError::Transport { source, .. } => source.hint(),
            PublicPricesError::Timeout { .. } => "try again later; the prices in use stay as they are",
            PublicPricesError::Unreadable { .. } => {
                "keep the prices in use, and try again later; the format of the list may have changed"
            }
        }
    }
}

impl Client {
    /// Fetches the public prices through the connection of this client.
    ///
    /// # Errors
    /// As [`fetch`].
    pub async fn public_prices(
        &self,
        currency: &str,
    ) -> Result<BTreeMap<String, Decimal>, PublicPricesError> {
        fetch(&self.inner.transport, currency).await
    }
}

/// Where the prices of [`fetch`] come from, for the source of a price list.
#[must_use]
pub fn source() -> String {
    format!("{BASE_URL}/opencompute")
}

/// Fetches the public prices per hour and unit, by item.
///
/// # Errors
/// When a list cannot be fetched or has no prices in this currency.
pub async fn fetch(
    transport: &Transport,
    currency: &str,
) -> Result<BTreeMap<String, Decimal>, PublicPricesError> {
    let mut found = BTreeMap::new();
    for (list, item_of_key) in LISTS {
        let url = format!("{BASE_URL}/{list}");
        let unreadable = |why: String| PublicPricesError::Unreadable { url: url.clone(), why };
        let list = get(transport, &url).await?;
        let prices = list.get(currency.to_ascii_lowercase()).and_then(Value::as_object);
        let prices = prices.ok_or_else(|| unreadable(format!("it has no prices in {currency}")))?;
        for (key, price) in prices {
            let price = price.as_str().and_then(|text| text.parse::<Decimal>().ok());
            if let (Some(item), Some(price)) = (item_of_key(key), price) {
                found.insert(item, price);
            }
        }
    }
    Ok(found)
}

async fn get(transport: &Transport, url: &str) -> Result<Value, PublicPricesError> {
    let unreadable = |why: String| PublicPricesError::Unreadable { url: url.to_owned(), why };
    let request =
        http::Request::get(url).body(Bytes::new()).map_err(|error| unreadable(error.to_string()))?;
    let reply = tokio::time::timeout(LIST_TIMEOUT, transport.clone().oneshot(request)).await;
    let reply = reply
        .map_err(|_| PublicPricesError::Timeout { url: url.to_owned() })?
        .map_err(|source| PublicPricesError::Transport { url: url.to_owned(), source })?;
    if !reply.status().is_success() {
        return Err(unreadable(format!("the reply has status {}", reply.status())));
    }
    serde_json::from_slice(reply.body()).map_err(|error| unreadable(error.to_string()))
}

/// `running_cpu_extra_large` is `instance/cpu/extra-large`.
fn compute_item(key: &str) -> Option<String> {
    let item = match key {
        "volume" => Some("disk/gib"),
        "volume_data" => Some("disk/storage/gib"),
        "snapshot" => Some("snapshot/gib"),
        "template" => Some("template/gib"),
        "load_balancer" | "network_load_balancer" => Some("nlb"),
        "elastic_ip" => Some("elastic-ip"),
        _ => None,
    };
    if let Some(item) = item {
        return Some(item.to_owned());
    }
    let machine = key.strip_prefix("running_")?;
    let families = ["cpu", "memory", "storage", "gpu", "gpu2", "gpu3"];
    let family =
        families.iter().find_map(|family| Some((*family, machine.strip_prefix(family)?.strip_prefix('_')?)));
    let (family, size) = family.unwrap_or(("standard", machine));
    let size = size.replace('_', "-");
    is_item_part(&size).then(|| format!("instance/{family}/{size}"))
}

fn sos_item(key: &str) -> Option<String> {
    (key == "storage").then(|| "sos/gib".to_owned())
}

fn postgres_item(key: &str) -> Option<String> {
    is_item_part(key).then(|| format!("dbaas/pg/{key}"))
}

fn is_item_part(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
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
