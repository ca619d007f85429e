//! The tables as a registry in memory, to compare it with the records.

use exokit_model::ids::OperationId;
use jiff::civil::Date;
use rusqlite::Connection;

use super::query::{environments, operations, ready_times_of, request_of, rows};
use super::{Standing, Trouble};
use crate::projection::{Environments, Operations, Registry, Rows as _};

/// None when the tables do not say up to where they stand, or contradict each
/// other.
pub(in crate::sqlite) fn load(connection: &Connection) -> Result<Option<Registry>, Trouble> {
    let Some(standing) = Standing::read(connection)? else { return Ok(None) };
    let environments = environments(connection, &Environments::All)?;
    let operations = operations(connection, &Operations::All)?;
    let requests =
        rows(connection, "SELECT day, requester, team, hourly, sum FROM derived_requests", vec![], |row| {
            let day: String = row.get(0)?;
            let day: Date = day.parse().map_err(|_| Trouble::Spoiled)?;
            Ok((day, request_of(row)?))
        })?;
    let times =
        rows(connection, "SELECT zone, kind, entry, sum FROM derived_ready_times", vec![], ready_times_of)?;
    let marks = pairs(connection, "SELECT token, operation FROM derived_marks")?;
    let mut parsed: Vec<(String, OperationId)> = Vec::new();
    for (token, operation) in marks {
        parsed.push((token, operation.parse().map_err(|_| Trouble::Spoiled)?));
    }
    let registry = Registry::filled(standing.head, |maps| {
        maps.put_roster(standing.roster);
        environments.into_iter().for_each(|row| maps.put_environment(row));
        operations.into_iter().for_each(|row| maps.put_operation(row));
        for (day, request) in requests {
            maps.put_requested((day, (request.requester, request.team)), request.hourly);
        }
        for times in times {
            if let Some(first) = times.first() {
                maps.put_ready_times((first.zone.clone(), first.kind), times);
            }
        }
        parsed.iter().for_each(|(token, operation)| maps.put_mark(token, operation));
    });
    let held = pairs(connection, "SELECT id, environment FROM derived_holdings ORDER BY id, environment")?;
    let held = held.iter().map(|(id, environment)| (id.as_str(), environment.as_str()));
    let fits = held.eq(registry.held().map(|(id, name)| (id, name.as_str())));
    Ok(fits.then_some(registry))
}

fn pairs(connection: &Connection, sql: &str) -> Result<Vec<(String, String)>, Trouble> {
    rows(connection, sql, vec![], |row| Ok((row.get(0)?, row.get(1)?)))
}
