//! Metrics as text: Prometheus's own form and OpenMetrics, from the same families.
//!
//! Written here, and not by a crate with a registry: nearly all values are of one scan and made anew for each scrape, and
//! no crate writes both forms.

use std::fmt::Write as _;

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
        Self { name: name.to_owned(), help: help.to_owned(), kind, samples: Vec::new() }
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
    /// The one that a client wants.
    pub(crate) fn accepted(accept: &str) -> Self {
        let weight = |names: &[&str]| {
            let weights = accept.split(',').filter_map(|part| {
                let mut words = part.split(';').map(str::trim);
                let name = words.next()?;
                let weight = words.find_map(|word| word.strip_prefix("q=").or_else(|| word.strip_prefix("Q=")));
                let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok()).unwrap_or(0.0);
                names.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(weight)
            });
            weights.fold(0.0, f32::max)
        };
        let open = weight(&["application/openmetrics-text"]);
        let is_wanted = open > 0.0 && open >= weight(&["text/plain", "text/*", "*/*"]);
        if is_wanted { Self::OpenMetrics } else { Self::Prometheus }
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
                let _ = write!(text, "{before}{label}=\"{}\"", escaped(value));
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

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
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
        assert_eq!(samples(&open), samples(&prometheus));
    }

    #[test]
    fn a_client_chooses_the_form() {
        let of_prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        assert_eq!(Form::accepted(of_prometheus), Form::OpenMetrics);
        for accept in [
            "*/*",
            "",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.5, text/plain",
            "text/plain;version=0.0.4;q=0.9, application/openmetrics-text;version=1.0.0;q=0.8",
        ] {
            assert_eq!(Form::accepted(accept), Form::Prometheus, "{accept}");
        }
    }
}
