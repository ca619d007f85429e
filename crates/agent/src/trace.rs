//! Trace ids that travel with requests, as the W3C recommendation Trace
//! Context has them in the header `traceparent`.

use std::fmt;

use data_encoding::HEXLOWER;
use exokit_spans::place::{self, Place};
use tracing::Span;

/// The flag that says that a trace is recorded.
const SAMPLED: u8 = 1;

/// Where a request stands in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

/// The trace id for people.
pub struct TraceId<'a>(&'a [u8; 16]);

impl fmt::Display for TraceId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(self.0))
    }
}

impl Trace {
    /// Goes on with the trace of a header; begins one where there is none, or
    /// none that can be read. A span that was just opened for it, and that is
    /// exported, is joined to the trace and gives it its names.
    #[must_use]
    pub fn continued(header: Option<&str>, span: &Span) -> Self {
        let before = header.and_then(parse);
        if let Some(before) = &before {
            place::join(span, before.place());
        }
        match (place::of(span), before) {
            (Some(place), before) => Self::at(place, before.map_or(0, |before| before.flags)),
            (None, Some(before)) => Self { span: fresh(), ..before },
            (None, None) => {
                // Drawn at once: each draw is a call to the system.
                let [id @ .., a, b, c, d, e, f, g, h] = fresh::<24>();
                Self { id, span: [a, b, c, d, e, f, g, h], flags: SAMPLED }
            }
        }
    }

    /// Where a part of this request stands that has a span of its own.
    #[must_use]
    pub fn within(&self, span: &Span) -> Self {
        place::of(span).map_or_else(|| self.clone(), |place| Self::at(place, self.flags))
    }

    /// A place, with the flags that came along.
    fn at(place: Place, flags: u8) -> Self {
        let sampled = if place.sampled { SAMPLED } else { 0 };
        Self { id: place.trace, span: place.span, flags: flags & !SAMPLED | sampled }
    }

    fn place(&self) -> Place {
        Place { trace: self.id, span: self.span, sampled: self.flags & SAMPLED != 0 }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TraceId<'_> {
        TraceId(&self.id)
    }

    /// The header to send on.
    #[must_use]
    pub fn header(&self) -> String {
        format!("00-{}-{}-{:02x}", HEXLOWER.encode(&self.id), HEXLOWER.encode(&self.span), self.flags)
    }
}

/// Random bytes, for names that need not be kept from anybody.
pub(crate) fn fresh<const N: usize>() -> [u8; N] {
    use exokit_engine::entropy::{Entropy as _, SystemEntropy};
    let mut bytes = [0; N];
    // A trace without a name of its own is no reason to refuse a request; all
    // zeros would be no trace at all.
    if SystemEntropy.fill(&mut bytes).is_err() {
        bytes[0] = 1;
    }
    bytes
}

/// What a header of version 00 says, or of a later one that begins in the same
/// way.
fn parse(header: &str) -> Option<Trace> {
    let mut parts = header.split('-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
    let bytes = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
    let id: [u8; 16] = bytes(id)?.try_into().ok()?;
    let span: [u8; 8] = bytes(span)?.try_into().ok()?;
    let [flags]: [u8; 1] = bytes(flags)?.try_into().ok()?;
    (known && id != [0; 16] && span != [0; 8]).then_some(Trace { id, span, flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_header_is_continued_and_a_bad_one_is_not() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let continued = |header| Trace::continued(header, &Span::none());
        let trace = continued(Some(good));
        assert_eq!(trace.id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(trace.header().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(!trace.header().contains("00f067aa0ba902b7"));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_ne!(continued(Some(bad)).id().to_string(), trace.id().to_string(), "{bad}");
        }
        assert_ne!(continued(None), continued(None));
    }
}
