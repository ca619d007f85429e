//! How far events were published, and what a stream was last known to keep of
//! them. A stream may be emptied, go back to an earlier state, or not be there
//! for a while; what it lost is published again.

use exokit_mutant::{Mutant, planted};

use crate::bus::Kept;

/// How far events were published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Sequence number of the last record that was published and confirmed.
    pub published: u64,
    /// What a stream keeps; none while no stream has ever said that it does.
    pub stream: Option<Mark>,
}

/// A place in a stream: all records up to this one lie at or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Sequence number of the record.
    pub record: u64,
    /// The position that the stream gave to its last message; positions count
    /// from 1 and only grow, unless the stream loses what it had.
    pub position: u64,
}

impl Progress {
    /// Everything up to a record was published, and nothing is known of a stream.
    #[must_use]
    pub fn at(published: u64) -> Self {
        Self { published, stream: None }
    }

    /// How far it is once the records after `from` up to `last` were confirmed.
    ///
    /// A position that was given before shows that the stream lost what it had
    /// from there on. Each record is at least one message, so going back by as
    /// many records as messages were lost goes far enough.
    #[must_use]
    pub(crate) fn after(self, from: u64, last: u64, kept: Option<Kept>) -> Self {
        let Some(kept) = kept else { return Self { published: last, ..self } };
        let known = self.stream.unwrap_or(Mark { record: from, position: 0 });
        let lost = match kept.first_new {
            Some(first) if !planted(Mutant::StreamIsWhole) => (known.position + 1).saturating_sub(first),
            _ => 0,
        };
        let whole = known.record.saturating_sub(lost);
        // What it has twice keeps its first position.
        let position = if lost == 0 { kept.last.max(known.position) } else { kept.last };
        let published = if whole < from { whole } else { last };
        Self { published, stream: Some(Mark { record: published, position }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(first_new: Option<u64>, last: u64) -> Option<Kept> {
        Some(Kept { first_new, last })
    }

    fn progress(published: u64, record: u64, position: u64) -> Progress {
        Progress { published, stream: Some(Mark { record, position }) }
    }

    #[test]
    fn without_a_stream_it_only_goes_on() {
        assert_eq!(Progress::at(3).after(3, 9, None), Progress::at(9));
    }

    #[test]
    fn a_stream_that_keeps_everything_only_goes_on() {
        assert_eq!(Progress::at(3).after(3, 9, kept(Some(1), 7)), progress(9, 9, 7));
        assert_eq!(progress(9, 9, 7).after(9, 12, kept(Some(8), 10)), progress(12, 12, 10));
        // Some of it, or all, was there before.
        assert_eq!(progress(12, 12, 10).after(11, 13, kept(Some(11), 11)), progress(13, 13, 11));
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(None, 10)), progress(12, 12, 10));
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(None, 4)), progress(12, 12, 10));
    }

    #[test]
    fn what_a_stream_lost_is_published_again() {
        // Emptied: the last record, published again, is its first message.
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(Some(1), 1)), progress(2, 2, 1));
        assert_eq!(progress(12, 12, 12).after(11, 12, kept(Some(1), 1)), progress(0, 0, 1));
        // It lost its last two, so the last but one is missing.
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(Some(9), 9)), progress(10, 10, 9));
        // It lost its last, which is there again.
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(Some(10), 10)), progress(12, 12, 10));
    }

    #[test]
    fn what_was_published_while_there_was_no_stream_is_published_again() {
        let without = progress(12, 12, 10).after(12, 20, None);
        assert_eq!(without, progress(20, 12, 10));
        assert_eq!(without.after(20, 21, kept(Some(11), 11)), progress(12, 12, 11));
        assert_eq!(without.after(20, 21, kept(Some(1), 1)), progress(2, 2, 1));
    }
}
