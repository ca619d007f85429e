//! `exokit list`: all environments.

use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_wire::request::ListRequest;

use crate::args::ListArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;

pub(crate) async fn run(connection: &Connection<'_>, args: &ListArgs) -> Result<Exit, CliError> {
    let mut request = ListRequest { all: args.all, after: None };
    let mut shown = Vec::new();
    loop {
        let page = connection.call(&request).await?;
        shown.extend(page.environments);
        // A page that leads back would be asked for for ever.
        match page.next.filter(|next| Some(next) > request.after.as_ref()) {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    let text = || exokit_text::environment::list(&shown, SystemClock.now());
    connection.settings.output.data(&shown, text)
}
