//! `exokit prices`: the list in use, and the public one.

use exokit_cloud::public_prices::{self, fetch};
use exokit_model::cost::{PriceDifference, PriceList};
use exokit_model::text::Escaped;
use exokit_templates::prices;
use exokit_text::format::{amount, table};
use exokit_wire::request::{PricesRequest, VerifyPricesRequest};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::args::PricesCommand;
use crate::connection::Connection;
use crate::embedded::Cloud;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{own_prices, price_list};
use crate::settings::Settings;
use crate::state_dir::replace;

pub(crate) async fn run(settings: &Settings, command: &PricesCommand) -> Result<Exit, CliError> {
    match command {
        PricesCommand::Show => {
            let list = Connection::open(settings, None).await?.call(&PricesRequest {}).await?;
            settings.output.data(&list, || show(&list))
        }
        PricesCommand::Update => update(settings).await,
        PricesCommand::Verify => {
            let reply = Connection::open(settings, None).await?.call(&VerifyPricesRequest {}).await?;
            settings.output.data(&reply, || difference(&reply.changed))?;
            Ok(Exit::of_comparison(!reply.changed.is_empty()))
        }
    }
}

fn show(list: &PriceList) -> String {
    let rows = list.hourly.iter().map(|(item, price)| [item.clone(), amount(*price)]);
    format!(
        "Prices of {} in {} without VAT, from {}\n\n{}",
        Escaped(&list.date),
        Escaped(&list.currency),
        Escaped(&list.source),
        table(["ITEM", "PER HOUR AND UNIT"], rows)
    )
}

async fn update(settings: &Settings) -> Result<Exit, CliError> {
    let path = settings.workspace()?.state.prices();
    let current = match own_prices(settings)? {
        Some(own) => own,
        None => price_list(settings)?,
    };
    let cloud = Cloud::without_account(settings)?;
    let public = fetch(&cloud.transport, &current.currency).await.doing("fetching", "the public prices")?;
    let changed = current.differences(&public);
    let clock = exokit_cloud::clock::SystemClock;
    let today = exokit_cloud::clock::Clock::now(&clock).to_zoned(TimeZone::UTC).date();
    let mut next = current;
    // What the public lists do not name stays as it was.
    next.hourly.extend(public);
    next.date = today.to_string();
    next.source = public_prices::source();
    let text = prices::encode(&next).map_err(|error| std::io::Error::other(error.to_string()));
    let text = text.doing("writing", path.display())?;
    prices::decode(&path.display().to_string(), &text).doing("checking", "the new prices")?;
    replace(&path, text.as_bytes())?;
    let value = json!({ "file": path, "date": next.date, "changed": changed });
    settings.output.data(&value, || {
        format!("{}\nThe prices of {} are in {}.\n", difference(&changed), next.date, path.display())
    })
}

fn difference(changed: &[PriceDifference]) -> String {
    if changed.is_empty() {
        return "The prices in use are the public ones.\n".to_owned();
    }
    let rows = changed.iter().map(|changed| {
        let ours = changed.ours.map_or_else(|| "unknown".to_owned(), amount);
        [changed.item.clone(), ours, amount(changed.public)]
    });
    table(["ITEM", "IN USE", "PUBLIC"], rows)
}
