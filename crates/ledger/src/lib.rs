//! The single record: a hash-chained event log and its projections.
