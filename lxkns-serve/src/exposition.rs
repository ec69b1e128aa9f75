//! Metrics as text: Prometheus's own form and OpenMetrics, from the same families.
//!
//! Written here, and not by a crate with a registry: nearly all values are of one scan and made anew for each scrape, and
//! no crate writes both forms.

use std::fmt::Write as _;

use lxkns_core::wire::is_safe_to_print;
use serde::{Deserialize, Serialize};

/// Metrics of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Family {
    /// Its name, without what counters have at the end.
    pub(crate) name: String,
    /// What it is, in a sentence without a full stop.
    pub(crate) help: String,
    /// What kind of metric it is.
    pub(crate) kind: Kind,
    /// Whether it begins at zero whenever the reader is started.
    pub(crate) is_of_start: bool,
    /// Its values.
    pub(crate) samples: Vec<Sample>,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up.
    Counter,
    /// Counts of what is below bounds.
    Histogram,
    /// Always 1; the labels say something.
    Info,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// What its name has at the end: `_bucket`, `_sum`, `_count`, or nothing for what the kind has.
    pub(crate) suffix: String,
    /// Names and values.
    pub(crate) labels: Vec<(String, String)>,
    /// The value.
    pub(crate) value: f64,
}

impl Family {
    /// Without values.
    pub(crate) fn new(kind: Kind, name: &str, help: &str) -> Self {
        Self { name: name.to_owned(), help: help.to_owned(), kind, is_of_start: false, samples: Vec::new() }
    }

    /// Counted by this start of the reader.
    pub(crate) fn of_start(mut self) -> Self {
        self.is_of_start = true;
        self
    }

    /// With one more value.
    pub(crate) fn with(mut self, labels: &[(&str, &str)], value: f64) -> Self {
        self.push("", labels, value);
        self
    }

    /// Adds a value.
    pub(crate) fn push(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.push(Sample { suffix: suffix.to_owned(), labels, value });
    }

    /// Adds a histogram: how many were in each bucket, how many there were, and their sum.
    pub(crate) fn push_histogram(&mut self, labels: &[(&str, &str)], buckets: &[(f64, u64)], count: u64, sum: f64) {
        let mut below = 0;
        for (bound, in_it) in buckets {
            below += in_it;
            let bound = number(*bound);
            self.push("_bucket", &[labels, &[("le", bound.as_str())]].concat(), below as f64);
        }
        self.push("_bucket", &[labels, &[("le", "+Inf")]].concat(), count as f64);
        self.push("_sum", labels, sum);
        self.push("_count", labels, count as f64);
    }
}

/// The forms of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Prometheus's text form.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

impl Form {
    /// The one that a client wants most, by its `Accept` header. OpenMetrics is only for clients that name it.
    pub(crate) fn accepted(accept: &str) -> Self {
        let (mut open, mut plain) = (0.0_f32, None);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut is_known) = (1.0, true);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
                match name.as_str() {
                    "q" => weight = value.parse().unwrap_or(0.0),
                    "version" => is_known = ["1.0.0", "0.0.1"].contains(&value),
                    _ => {}
                }
            }
            // The most specific range counts.
            let specific = ["*/*", "text/*", "text/plain"].into_iter().position(|known| known == kind);
            match specific {
                Some(specific) if plain.is_none_or(|(most, of)| specific > most || specific == most && weight > of) => {
                    plain = Some((specific, weight));
                }
                None if kind == "application/openmetrics-text" && is_known => open = open.max(weight),
                _ => {}
            }
        }
        let plain = plain.map_or(0.0, |(_, weight)| weight);
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its name in HTTP.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes families.
pub(crate) fn write(families: &[Family], form: Form) -> String {
    let mut text = String::new();
    for family in families {
        // What the samples are called, which only OpenMetrics tells apart from the family.
        let suffix = match family.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        let kind = match (family.kind, form) {
            (Kind::Info, Form::Prometheus) | (Kind::Gauge, _) => "gauge",
            (Kind::Info, Form::OpenMetrics) => "info",
            (Kind::Counter, _) => "counter",
            (Kind::Histogram, _) => "histogram",
        };
        let name = match form {
            Form::Prometheus => format!("{}{suffix}", family.name),
            Form::OpenMetrics => family.name.clone(),
        };
        let unit = ["seconds", "bytes"].into_iter().find(|unit| family.name.ends_with(&format!("_{unit}")));
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {}", escaped(&family.help));
        let _ = writeln!(text, "# TYPE {name} {kind}");
        if let (Some(unit), Form::OpenMetrics) = (unit, form) {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        for sample in &family.samples {
            let _ = write!(text, "{}{suffix}{}", family.name, sample.suffix);
            for (at, (label, value)) in sample.labels.iter().enumerate() {
                let before = if at == 0 { '{' } else { ',' };
                // OpenMetrics has bounds as numbers with a fraction.
                let fraction = if form == Form::OpenMetrics && label == "le" && is_whole(value) { ".0" } else { "" };
                let _ = write!(text, "{before}{label}=\"{}{fraction}\"", escaped(value));
            }
            let after = if sample.labels.is_empty() { "" } else { "}" };
            let _ = writeln!(text, "{after} {}", number(sample.value));
        }
    }
    if form == Form::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// As both forms have it, and safe to print: what could command a terminal becomes `\xHH`, as in other text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' => escaped.push_str("\\\""),
            _ if is_safe_to_print(character) => escaped.push(character),
            _ => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(escaped, "\\\\x{byte:02x}");
                }
            }
        }
    }
    escaped
}

fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// A number as both forms have it.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let mut histogram = Family::new(Kind::Histogram, "a_duration_seconds", "How long");
        histogram.push_histogram(&[("route", "/x")], &[(0.5, 2), (1.0, 0), (2.5, 3)], 6, 12.25);
        vec![
            Family::new(Kind::Gauge, "a_things", "How \\ many\nthings").with(&[("type", "a\"b\\c\n")], 3.0),
            Family::new(Kind::Counter, "a_scans", "Scans").with(&[], 12.0),
            Family::new(Kind::Info, "a_build", "The build").with(&[("version", "1")], 1.0),
            histogram,
        ]
    }

    #[test]
    fn both_forms_say_the_same_in_their_own_way() {
        let prometheus = write(&families(), Form::Prometheus);
        let expected = "\
# HELP a_things How \\\\ many\\nthings
# TYPE a_things gauge
a_things{type=\"a\\\"b\\\\c\\n\"} 3
# HELP a_scans_total Scans
# TYPE a_scans_total counter
a_scans_total 12
# HELP a_build_info The build
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_duration_seconds How long
# TYPE a_duration_seconds histogram
a_duration_seconds_bucket{route=\"/x\",le=\"0.5\"} 2
a_duration_seconds_bucket{route=\"/x\",le=\"1\"} 2
a_duration_seconds_bucket{route=\"/x\",le=\"2.5\"} 5
a_duration_seconds_bucket{route=\"/x\",le=\"+Inf\"} 6
a_duration_seconds_sum{route=\"/x\"} 12.25
a_duration_seconds_count{route=\"/x\"} 6
";
        assert_eq!(prometheus, expected);
        let open = write(&families(), Form::OpenMetrics);
        assert!(open.ends_with("\n# EOF\n"), "{open}");
        for line in
            ["# TYPE a_scans counter\na_scans_total 12\n", "# TYPE a_build info\na_build_info{version=\"1\"} 1\n"]
        {
            assert!(open.contains(line), "{line} is not in {open}");
        }
        assert!(open.contains("# UNIT a_duration_seconds seconds\n"), "{open}");
        let samples =
            |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        let canonical = prometheus.replace("le=\"1\"", "le=\"1.0\"");
        assert_eq!(samples(&open), samples(&canonical));
    }

    #[test]
    fn no_label_commands_a_terminal() {
        let label = "\u{1b}[31m\r\u{202e}\u{85}é\u{fffd}\"\n";
        let family = Family::new(Kind::Gauge, "a", "A").with(&[("netns", label)], 1.0);
        let text = write(&[family], Form::Prometheus);
        let expected = r#"a{netns="\\x1b[31m\\x0d\\xe2\\x80\\xae\\xc2\\x85é�\"\n"} 1"#;
        assert_eq!(text.lines().last(), Some(expected));
    }

    #[test]
    fn a_client_chooses_the_form() {
        for open in [
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;\
             version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,\
             */*;q=0.1",
            "Application/OpenMetrics-Text",
            "application/openmetrics-text; version=\"1.0.0\", text/plain",
            "application/openmetrics-text;q=0.5, */*;q=0.9, text/plain;q=0.5",
        ] {
            assert_eq!(Form::accepted(open), Form::OpenMetrics, "{open}");
        }
        for plain in [
            "",
            "*/*",
            "text/plain",
            "application/json",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.1, text/plain;q=1",
            "application/openmetrics-text;q=0.1, text/*",
            "application/openmetrics-text;q=nonsense",
            "application/openmetrics-text;version=2.0.0",
        ] {
            assert_eq!(Form::accepted(plain), Form::Prometheus, "{plain}");
        }
    }
}
