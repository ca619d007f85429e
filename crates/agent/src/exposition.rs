//! The two forms in which metrics are read: OpenMetrics, and the plain text of
//! Prometheus for who does not ask for it.

use std::borrow::Cow;

/// A form of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Plain,
}

impl Form {
    /// The form that an `Accept` header asks for.
    #[must_use]
    pub fn wanted(accept: Option<&str>) -> Self {
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Plain,
        }
    }

    /// Its content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Brings an OpenMetrics text into this form.
    pub(crate) fn of(self, text: String) -> String {
        match self {
            Self::OpenMetrics => text,
            Self::Plain => plain(&text),
        }
    }
}

/// In the plain form a counter has its suffix in its head too, and there are no
/// units and no end.
fn plain(text: &str) -> String {
    let counters: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        plain.push_str(&head(line, &counters));
        plain.push('\n');
    }
    plain
}

/// A line with the name as the plain form has it.
fn head<'l>(line: &'l str, counters: &[&str]) -> Cow<'l, str> {
    let mut words = line.splitn(4, ' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(&name) => {
            Cow::Owned(format!("# {what} {name}_total {rest}"))
        }
        _ => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "# HELP a_b Things.\n# TYPE a_b counter\na_b_total{x=\"# EOF\"} 2\n\
        # HELP t_seconds Time.\n# TYPE t_seconds histogram\n# UNIT t_seconds seconds\nt_seconds_sum 1.5\n# EOF\n";

    #[test]
    fn the_plain_form_has_no_units_and_names_counters_in_full() {
        let plain = Form::Plain.of(OPEN.to_owned());
        let expected = "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 2\n\
            # HELP t_seconds Time.\n# TYPE t_seconds histogram\nt_seconds_sum 1.5\n";
        assert_eq!(plain, expected);
        assert_eq!(Form::OpenMetrics.of(OPEN.to_owned()), OPEN);
    }

    #[test]
    fn who_asks_for_open_metrics_gets_it() {
        let asks = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        assert_eq!(Form::wanted(Some(asks)), Form::OpenMetrics);
        for other in [None, Some("*/*"), Some("text/plain")] {
            assert_eq!(Form::wanted(other), Form::Plain);
        }
    }
}
