//! Times, amounts and tables as people read them.

use console::measure_text_width;
use exokit_model::text::Escaped;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

/// Longest time that an environment can be asked to live: ten years.
const DURATION_SECONDS_MAX: u64 = 10 * 365 * 86_400;

/// Reads `8h`, `90m`, `2d` or `1h30m` as seconds.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let rule = || format!("{text:?} is not a time such as 30m, 8h, 2d or 1h30m");
    let mut seconds: u64 = 0;
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(rule()),
        };
        let count: u64 = digits.parse().map_err(|_| rule())?;
        digits.clear();
        seconds = count.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(rule)?;
    }
    match digits.is_empty() && seconds > 0 {
        false => Err(rule()),
        true if seconds > DURATION_SECONDS_MAX => Err(format!("{text} is more than ten years")),
        true => Ok(seconds),
    }
}

/// Seconds as `45 s`, `3 min 20 s`, `2 h 5 min` or `3 d 4 h`.
pub fn duration(seconds: u64) -> String {
    let parts = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut words = Vec::new();
    for (size, unit) in parts {
        let count = left / size;
        left %= size;
        if count > 0 {
            words.push(format!("{count} {unit}"));
        }
    }
    match words.is_empty() {
        true => "0 s".to_owned(),
        false => words[..words.len().min(2)].join(" "),
    }
}

/// The time from `from` to `to` to a tenth of a second while that says
/// something.
pub fn took(from: Timestamp, to: Timestamp) -> String {
    let exact = to.duration_since(from).max(SignedDuration::ZERO);
    match exact < SignedDuration::from_secs(10) {
        true => format!("{:.1} s", exact.as_secs_f64()),
        false => duration(between(from, to)),
    }
}

/// The time from `from` to `to`, zero when it is negative.
pub fn between(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).max(SignedDuration::ZERO).as_secs().unsigned_abs()
}

/// A moment to the second, in UTC.
pub fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How far away a moment is, as `in 3 h` or `3 h ago`.
pub fn from_now(at: Timestamp, now: Timestamp) -> String {
    match at >= now {
        true => format!("in {}", duration(between(now, at))),
        false => format!("{} ago", duration(between(at, now))),
    }
}

/// A number of things: `1 test`, `2 tests`.
pub fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// An amount with at least two and at most five decimal places.
pub fn amount(value: Decimal) -> String {
    let rounded = value.round_dp(5).normalize();
    match rounded.scale() < 2 {
        true => format!("{rounded:.2}"),
        false => rounded.to_string(),
    }
}

/// Rows under a heading, columns aligned, two blanks apart. Cells are escaped,
/// so that a row is one line.
pub fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let escaped = |row: [String; N]| row.map(|cell| Escaped(&cell).to_string());
    let rows: Vec<[String; N]> = rows.into_iter().map(escaped).collect();
    let mut widths = heading.map(measure_text_width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(measure_text_width(cell)) + 2));
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = line(heading);
    rows.iter().for_each(|row| text.push_str(&line(row.each_ref().map(String::as_str))));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds) in [("30s", 30), ("90m", 5400), ("8h", 28_800), ("2d", 172_800), ("1h30m", 5400)]
        {
            assert_eq!(parse_duration(text), Ok(seconds));
        }
        for text in ["", "8", "h", "-1h", "1.5h", "8 h", "0s", "99999999999999999999h", "11000d", "1y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        let written = [(0, "0 s"), (45, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (86_400, "1 d")];
        written.iter().for_each(|(seconds, text)| assert_eq!(duration(*seconds), *text));
    }

    #[test]
    fn amounts_keep_cents_and_drop_noise() {
        for (value, text) in
            [("1", "1.00"), ("0.02333", "0.02333"), ("0.5", "0.50"), ("1.2345678", "1.23457")]
        {
            assert_eq!(amount(value.parse().unwrap()), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bb"], ["ccc", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["X", "Y"], rows), "X    Y\na    bb\nccc\n");
        assert_eq!(table(["X"], [["a\nb".to_owned()]]), "X\na\\nb\n");
    }
}
