//! `exokit extend`: a longer life.

use exokit_text::format::moment;
use exokit_wire::request::{Extension, PlanRequest, StatusRequest};
use jiff::SignedDuration;

use crate::args::ExtendArgs;
use crate::change::{change, start};
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;

pub(crate) async fn run(connection: &Connection<'_>, args: &ExtendArgs) -> Result<Exit, CliError> {
    let (environment, ttl_seconds) = match (&args.plan, &args.environment, args.ttl) {
        (Some(plan), ..) => return start(connection, plan, args.wait).await,
        (None, Some(environment), Some(ttl)) => (environment.clone(), ttl),
        _ => {
            let hint = "name an environment and a time, such as `exokit extend first --ttl 4h`";
            return Err(CliError::usage("something is missing", hint));
        }
    };
    let ends_at = connection.call(&StatusRequest { environment: environment.clone() }).await?.view.ends_at;
    let more = SignedDuration::from_secs(i64::try_from(ttl_seconds).unwrap_or(i64::MAX));
    let extended = ends_at.and_then(|end| Some((end, end.checked_add(more).ok()?)));
    let break_glass = args.break_glass.clone();
    let request = PlanRequest::Extend(Extension { environment, ttl_seconds, break_glass });
    let output = &connection.settings.output;
    change(connection, &request, args.wait, |plan| {
        output.note(&exokit_text::plan::heading(plan));
        if let Some((old, new)) = extended {
            output.note(&format!("It ends at {} UTC now, and at {} UTC then", moment(old), moment(new)));
        }
        output.note(exokit_text::plan::total(plan).trim_end());
    })
    .await
}
