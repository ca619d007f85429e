//! Roster, approval tokens, and the permit that every mutating call needs.
