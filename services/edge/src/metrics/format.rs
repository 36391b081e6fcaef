//! The two texts that metrics are written in, and which of them a scraper asks for.

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, with units.
    OpenMetrics,
    /// Prometheus's own text, which every tool reads.
    Prometheus,
}

impl Format {
    /// What an `Accept` asks for; who does not name OpenMetrics may not know it.
    pub fn asked_for(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// OpenMetrics text, written in this format.
    pub(super) fn of(self, openmetrics: String) -> String {
        if self == Self::OpenMetrics { openmetrics } else { plain(&openmetrics) }
    }
}

/// There a counter's name has its `_total` in every line, metadata is a gauge, and neither unit nor end is said.
fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 1024);
    let mut help = None;
    for line in openmetrics.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said.split_once(' ');
            continue;
        }
        let Some(metric) = line.strip_prefix("# TYPE ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (name, kind) = metric.split_once(' ').unwrap_or((metric, "untyped"));
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            other => ("", other),
        };
        let said = help.take().map_or("", |(_, said)| said);
        text.push_str(&format!("# HELP {name}{suffix} {said}\n# TYPE {name}{suffix} {kind}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_metadata_are_named_in_full() {
        let open = "# HELP a_bytes What.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total{b=\"c\"} 1\n\
                    # HELP d E f.\n# TYPE d info\nd_info{g=\"h\"} 1\n# HELP i J.\n# TYPE i gauge\ni 2\n# EOF\n";
        let plain = "# HELP a_bytes_total What.\n# TYPE a_bytes_total counter\na_bytes_total{b=\"c\"} 1\n\
                     # HELP d_info E f.\n# TYPE d_info gauge\nd_info{g=\"h\"} 1\n# HELP i J.\n# TYPE i gauge\ni 2\n";
        assert_eq!(Format::Prometheus.of(open.to_owned()), plain);
        assert_eq!(Format::OpenMetrics.of(open.to_owned()), open);
    }

    #[test]
    fn openmetrics_is_for_those_who_name_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::asked_for(prometheus), Format::OpenMetrics);
        assert_eq!(Format::asked_for("*/*"), Format::Prometheus);
        assert_eq!(Format::asked_for(""), Format::Prometheus);
    }
}
