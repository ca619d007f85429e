//! How far events were published, and what a stream was last known to keep of
//! them. A stream may come late, be emptied, go back to an earlier state, or not
//! be there for a while; what it lacks is published again.

use crate::bus::Kept;

/// How far events were published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Sequence number of the last record that was published and confirmed.
    pub published: u64,
    /// What a stream keeps.
    pub stream: Mark,
}

/// A place in a stream, which has all records up to this one that were ever
/// published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Sequence number of the record.
    pub record: u64,
    /// The highest position that was told; 0 when that is not known. Positions
    /// count from 1 and only grow, unless the stream loses what it had.
    pub position: u64,
}

impl Progress {
    /// Everything up to a record was published, and no stream need have it.
    #[must_use]
    pub fn at(published: u64) -> Self {
        Self { published, stream: Mark { record: published, position: 0 } }
    }

    /// How far it is once the records after `from` up to `last` were confirmed.
    #[must_use]
    pub(crate) fn after(self, from: u64, last: u64, kept: Option<Kept>) -> Self {
        let Some(kept) = kept else { return Self { published: last, ..self } };
        match self.whole(from, kept) {
            whole if whole < from => Self::at(whole),
            // The stream may have the last messages of what is published again at early
            // positions. With such a mark another loss would go unnoticed.
            _ => {
                let position = kept.highest.max(self.stream.position);
                Self { published: last, stream: Mark { record: last, position } }
            }
        }
    }

    /// Up to which record the stream has everything that comes before what was
    /// confirmed just now. A position that was given before shows that it lost
    /// what it had. How much is not known, so it may be all of it: each record
    /// is at least one message.
    fn whole(self, from: u64, kept: Kept) -> u64 {
        let Mark { record, position } = self.stream;
        let is_again = from < record;
        let lost = match kept.first_new {
            _ if is_again => kept.highest < position,
            first => first.is_some_and(|first| first <= position),
        };
        match (lost, is_again) {
            (true, _) => record.saturating_sub(position),
            (false, true) => from,
            (false, false) => record,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(first_new: Option<u64>, highest: u64) -> Option<Kept> {
        Some(Kept { first_new, highest })
    }

    fn progress(published: u64, record: u64, position: u64) -> Progress {
        Progress { published, stream: Mark { record, position } }
    }

    #[test]
    fn without_a_stream_it_only_goes_on() {
        assert_eq!(Progress::at(3).after(3, 9, None), progress(9, 3, 0));
    }

    #[test]
    fn a_stream_that_keeps_everything_only_goes_on() {
        assert_eq!(Progress::at(3).after(3, 9, kept(Some(1), 7)), progress(9, 9, 7));
        assert_eq!(progress(9, 9, 7).after(9, 12, kept(Some(8), 10)), progress(12, 12, 10));
        // Some of it, or all, was there before.
        assert_eq!(progress(12, 12, 10).after(12, 14, kept(Some(13), 13)), progress(14, 14, 13));
        assert_eq!(progress(12, 12, 10).after(12, 14, kept(None, 12)), progress(14, 14, 12));
        // The last record again, which it knows, or has forgotten to know.
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(None, 10)), progress(12, 12, 10));
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(Some(11), 11)), progress(12, 12, 11));
    }

    #[test]
    fn what_a_stream_lost_is_published_again() {
        // The last record again is its first message, new or not.
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(Some(1), 1)), Progress::at(2));
        assert_eq!(progress(12, 12, 10).after(11, 12, kept(None, 1)), Progress::at(2));
        assert_eq!(progress(12, 12, 12).after(11, 12, kept(Some(1), 1)), Progress::at(0));
        // What is new comes where there was something else.
        assert_eq!(progress(12, 12, 10).after(12, 13, kept(Some(9), 9)), Progress::at(2));
        // Filled again up to the message that came first, it is emptied once more.
        let filled = progress(10, 10, 300).after(10, 12, kept(None, 1));
        assert_eq!(filled, progress(12, 12, 300));
        assert_eq!(filled.after(11, 12, kept(Some(1), 1)), Progress::at(0));
        // What is published again after that need not be new.
        assert_eq!(Progress::at(2).after(2, 13, kept(Some(10), 10)), progress(13, 13, 10));
    }

    #[test]
    fn what_was_published_without_a_stream_is_published_again() {
        let without = progress(12, 12, 10).after(12, 20, None);
        assert_eq!(without, progress(20, 12, 10));
        assert_eq!(without.after(20, 21, kept(Some(11), 11)), Progress::at(12));
        assert_eq!(without.after(20, 21, kept(Some(1), 1)), Progress::at(2));
        assert_eq!(without.after(19, 20, kept(Some(11), 11)), Progress::at(12));
        // A stream that comes late gets everything.
        let late = Progress::at(3).after(3, 9, None).after(9, 10, kept(Some(1), 1));
        assert_eq!(late, Progress::at(3));
    }
}
