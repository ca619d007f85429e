//! Time stamps in the forms of the API.

use jiff::Timestamp;

/// RFC 3339 with whole seconds, as in `creationTimestamp`.
pub(crate) fn rfc3339(ms: i64) -> String {
    let at = Timestamp::from_second(ms.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 with microseconds, as in leases.
pub(crate) fn rfc3339_micro(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Milliseconds since 1970 of an RFC 3339 text.
pub(crate) fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// A duration as `kubectl get` shows ages.
pub(crate) fn age(ms: i64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |whole: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    match () {
        () if seconds < 0 => "<invalid>".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => pair(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 8 * 365 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_in_whole_seconds() {
        assert_eq!(rfc3339(1_800_000_000_999), "2027-01-15T08:00:00Z");
        assert_eq!(parse("2027-01-15T08:00:00Z"), Some(1_800_000_000_000));
        assert_eq!(rfc3339_micro(1_800_000_000_999), "2027-01-15T08:00:00.999000Z");
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn ages_are_shown_as_kubectl_shows_them() {
        for (seconds, shown) in [
            (-1, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (130, "2m10s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (86_400, "24h"),
            (200_000, "2d7h"),
            (700_000, "8d"),
            (63_072_000, "2y"),
        ] {
            assert_eq!(age(seconds * 1000), shown, "{seconds}");
        }
    }
}
