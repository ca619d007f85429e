//! The targets of the fuzzer on their seeds, as they are and changed.

mod mutated;
mod seeds;
