//! `exokit verify`: whether an environment keeps what its template promised.

use exokit_model::text::Escaped;
use exokit_model::verification::Check;
use exokit_text::format::table;
use exokit_wire::reply::VerifyReply;
use exokit_wire::request::VerifyRequest;

use crate::args::VerifyArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::junit::{self, Suite};

pub(crate) async fn run(connection: &Connection<'_>, args: &VerifyArgs) -> Result<Exit, CliError> {
    let reply = connection.call(&VerifyRequest { environment: args.environment.clone() }).await?;
    if let Some(path) = &args.junit {
        junit::write(path, vec![Suite::of_checks(&reply)])?;
    }
    connection.settings.output.data(&reply, || text(&reply))?;
    Ok(Exit::of_comparison(reply.failed > 0))
}

fn text(reply: &VerifyReply) -> String {
    let result = |check: &Check| if check.passed { "ok" } else { "FAILED" };
    let rows = reply.checks.iter().map(|check| {
        [check.id.clone(), result(check).to_owned(), check.title.clone(), check.observed.to_string()]
    });
    let mut text = table(["CHECK", "RESULT", "WHAT", "OBSERVED"], rows);
    for check in reply.checks.iter().filter(|check| !check.passed) {
        let [id, expected, hint] =
            [&check.id, &check.expected, check.hint.as_deref().unwrap_or_default()].map(Escaped);
        text.push_str(&format!("\n{id}: expected {expected}\nhint: {hint}\n"));
    }
    let (environment, template) = (&reply.environment, reply.template);
    match reply.failed {
        0 => text.push_str(&format!("\n{environment} keeps all {} promises of {template}.\n", reply.passed)),
        failed => text.push_str(&format!(
            "\n{environment} breaks {failed} of {} promises of {template}.\n",
            reply.checks.len()
        )),
    }
    text
}
