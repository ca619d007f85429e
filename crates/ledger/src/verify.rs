//! Checking the hash chain: whether the records are those that were written,
//! all of them, in order.

use exokit_model::event::Record;

use crate::head::Head;

/// The first record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {why}")]
pub struct FirstBad {
    /// Where it stands, or should stand, in the ledger.
    pub seq: u64,
    /// How it was noticed.
    pub why: String,
}

impl FirstBad {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "restore the ledger from an export or a backup that verifies; do not build on this one"
    }
}

/// Checks a whole ledger from its first record, and returns its end.
///
/// Records cut off at the end are not noticed: for that, an audit takes an
/// anchor.
///
/// # Errors
/// The first record that was changed, moved, inserted or whose predecessor is
/// missing.
pub fn verify(records: &[Record]) -> Result<Head, FirstBad> {
    let mut head = Head::EMPTY;
    for record in records {
        let seq = head.seq + 1;
        let bad = |why: &str| FirstBad { seq, why: why.to_owned() };
        if record.seq != seq {
            return Err(bad(&format!("number {} stands in its place", record.seq)));
        }
        if record.prev != head.hash {
            return Err(bad("it does not follow the record before it"));
        }
        let hash = Record::hash_of(record.prev, record.seq, &record.entry)
            .map_err(|error| bad(&error.to_string()))?;
        if hash != record.hash {
            return Err(bad("its hash does not fit its content"));
        }
        head = Head::after(record);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{chain, entry, life};

    #[test]
    fn a_whole_chain_verifies() {
        let records = life();
        assert_eq!(verify(&records), Ok(Head::after(records.last().unwrap())));
        assert_eq!(verify(&[]), Ok(Head::EMPTY));
    }

    #[test]
    fn the_first_bad_record_is_named() {
        type Change = fn(&mut Vec<Record>);
        let cases: [(u64, Change); 8] = [
            (3, |r| r[2].entry.epoch += 1),
            (3, |r| r[2].seq += 1),
            (3, |r| r[2].hash.0[0] ^= 1),
            (3, |r| r[2].prev.0[0] ^= 1),
            (3, |r| {
                r.remove(2);
            }),
            (3, |r| r.swap(2, 3)),
            (4, |r| r.insert(3, r[2].clone())),
            (1, |r| {
                r.remove(0);
            }),
        ];
        for (seq, change) in cases {
            let mut records = chain((1..=6).map(entry));
            change(&mut records);
            assert_eq!(verify(&records).unwrap_err().seq, seq);
        }
    }
}
