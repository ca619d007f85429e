//! The audit: every record of the file, one after the other, and whether the
//! rows say the same.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::types::Value;
use tokio::sync::oneshot;

use super::database::Database;
use super::paths::SqliteError;
use super::records::{self, damaged};
use super::schema;
use super::tables;
use super::{SqliteLedger, open_reader, spawn, stopped, system_clock};
use crate::error::LedgerError;
use crate::head::Head;
use crate::ledger::Audit;
use crate::plans::Plans;
use crate::poll::ready;
use crate::rows::step::project;

impl SqliteLedger {
    /// Audits on a thread and a connection of its own: a long ledger takes many
    /// seconds, and other readers must not wait for it.
    pub(super) async fn audit_apart(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        let connection = open_reader(&self.paths).map_err(|error| self.paths.explain("opening", error))?;
        let paths = self.paths.clone();
        let (reply, found) = oneshot::channel();
        let work = move || {
            let computed = || {
                let computed = Connection::open_in_memory()?;
                schema::create_rows(&computed)?;
                Ok(Database::new(computed, paths, system_clock()))
            };
            // The caller may have gone away.
            let _ = reply.send(computed().and_then(|computed| audit(&connection, computed, anchor)));
        };
        // Ends with the audit, also when the ledger is closed before.
        drop(spawn(&self.paths, "ledger-audit", work)?);
        let found = found.await.map_err(|_| stopped())?;
        found.map_err(|error| self.paths.explain("reading", error))
    }
}

/// How many records are in memory at a time.
const STEP: u64 = 1_000;

fn audit(
    connection: &Connection,
    mut computed: Database,
    anchor: Option<Head>,
) -> Result<Audit, SqliteError> {
    // One view of records and rows, whatever is appended meanwhile.
    let _view = connection.unchecked_transaction()?;
    let (mut head, plans) = (Head::EMPTY, Plans::default());
    loop {
        let records = records::after(connection, head, STEP)?;
        for record in &records {
            head = Head::after(record);
            if anchor.is_some_and(|anchor| anchor.seq == head.seq && anchor != head) {
                return Err(damaged(head.seq, "it is not the record that was anchored"));
            }
            ready(project(&mut computed, &plans, record))?;
        }
        if records.is_empty() {
            break;
        }
    }
    if let Some(anchor) = anchor.filter(|anchor| anchor.seq > head.seq) {
        let why = format!("it is missing: the ledger ends at {}, the anchor is {}", head.seq, anchor.seq);
        return Err(damaged(head.seq + 1, &why));
    }
    let mut differing = Vec::new();
    for table in schema::ROW_TABLES {
        let (found, expected) = (dump(connection, table)?, dump(computed.connection(), table)?);
        let keys: BTreeSet<&String> = found.symmetric_difference(&expected).map(|(key, _)| key).collect();
        differing.extend(keys.into_iter().map(|key| format!("{table} {key}")));
    }
    let count = |table: &str| -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM {table}");
        computed.connection().query_row(&sql, [], |row| Ok(records::from_column(row.get(0)?)))
    };
    Ok(Audit { head, environments: count("environments")?, operations: count("operations")?, differing })
}

/// All rows of a table: the key, which is the first column, and all columns.
fn dump(connection: &Connection, table: &str) -> Result<BTreeSet<(String, String)>, SqliteError> {
    let rows = tables::rows(connection, &format!("SELECT * FROM {table}"), Vec::new(), |row| {
        let count = row.as_ref().column_count();
        let values: Vec<Value> = (0..count).map(|at| row.get(at)).collect::<Result<_, _>>()?;
        let key = match values.first() {
            Some(Value::Text(key)) => key.clone(),
            other => format!("{other:?}"),
        };
        Ok((key, format!("{values:?}")))
    })?;
    Ok(rows.into_iter().collect())
}
