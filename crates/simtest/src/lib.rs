//! The engine, unmodified, against the simulated cloud under virtual time.
