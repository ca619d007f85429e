//! The outcome of a verb.

/// Nothing, or what went wrong, in words for a person.
pub(crate) type Outcome<T = ()> = Result<T, String>;
