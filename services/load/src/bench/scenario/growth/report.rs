//! Tables of what was measured and computed, between the markers of a Markdown file.

use std::{fmt::Write as _, fs, path::Path};

use super::{
    super::{
        cluster,
        law::{self, Share},
    },
    Growth,
    sizing::{ASSUMED, USERS, size},
};
use crate::bench::{
    replaced,
    row::{Spread, short},
};

/// Replaces what stands between `<!-- growth SECTION -->` and `<!-- end -->` for each section.
///
/// # Errors
/// The file has no such section, or cannot be read or written.
pub(super) fn write(file: &Path, growth: &Growth) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut text = fs::read_to_string(file).map_err(failed)?;
    for (section, content) in [("measured", measured(growth)), ("brokers", brokers(growth)), ("sizes", sizes(growth))] {
        text = replaced(&text, &format!("growth {section}"), &content)
            .ok_or_else(|| format!("{}: no line <!-- growth {section} --> and <!-- end -->", file.display()))?;
    }
    fs::write(file, text).map_err(failed)
}

/// A Markdown table; the first row is its head.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if number == 0 {
            let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(text, "| {} |", dashes.join(" | "));
        }
    }
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

fn range(it: Spread) -> String {
    format!("{} ({}–{})", short(it.median), short(it.min), short(it.max))
}

fn measured(growth: &Growth) -> String {
    let mut rows = vec![row(["connections", "CPU per delivery", "raw", "ratio", "process", "and kernel"])];
    for it in &growth.connections {
        let kernel = it.kernel.map_or_else(|| "–".to_owned(), |kernel| format!("{:.0} B", it.process + kernel));
        let count = it.connections.to_string();
        let (edge, raw, process) = (us(it.edge), us(it.raw), format!("{:.0} B", it.process));
        rows.push(vec![count, edge, raw, range(it.ratio), process, kernel]);
    }
    let mut text = table(&rows);
    let mut rows = vec![row(["rooms", "CPU per event that nobody here wants"])];
    rows.extend(growth.rooms.iter().map(|it| vec![it.rooms.to_string(), us(it.cost)]));
    let _ = write!(text, "\n{}", table(&rows));
    let head = ["edges", "each: reading", "each: serving", "all: CPU per delivery", "broker per event", "p50", "p99"];
    let mut rows = vec![row(head)];
    for it in &growth.edges {
        let share = |share: Spread| format!("{:.1} % of a core", share.median * 100.0);
        let broker = it.broker_us.map_or_else(|| "–".to_owned(), us);
        let ms = |it: Spread| format!("{} ms", short(it.median));
        rows.push(vec![
            it.edges.to_string(),
            share(it.reading),
            share(it.serving),
            us(it.per_delivery),
            broker,
            ms(it.p50_ms),
            ms(it.p99_ms),
        ]);
    }
    let _ = write!(text, "\n{}", table(&rows));
    if let Some(law) = cluster::law(&growth.cluster) {
        let [a, b] = law.constants;
        let _ = writeln!(
            text,
            "\nCPU of an edge = {a:.2} us × events of the cluster + {b:.2} us × its own deliveries; error of the {} points: \
             {:.1} % (root mean square), {:.0} % at worst.",
            growth.cluster.len(),
            law.error * 100.0,
            law.worst * 100.0
        );
    }
    text
}

fn us(it: Spread) -> String {
    format!("{} us", range(it))
}

fn brokers(growth: &Growth) -> String {
    let head = ["events/s", "edges", "partitions", "records", "broker per event", "edges per event", "p50", "p99"];
    let line = |share: &Share| {
        let it = &share.setting;
        let [rate, edges, partitions] = [it.rate.to_string(), it.edges.to_string(), it.partitions.to_string()];
        let [broker, own] = [share.broker_us, share.edges_us].map(|us| format!("{us:.0} us"));
        let [p50, p99] = [share.p50_ms, share.p99_ms].map(|ms| format!("{} ms", short(ms)));
        vec![rate, edges, partitions, law::described(it.name).to_owned(), broker, own, p50, p99]
    };
    let rows: Vec<_> = std::iter::once(row(head)).chain(growth.others.iter().chain(&growth.grid).map(line)).collect();
    let mut text = table(&rows);
    if let Some(law) = law::law(&growth.grid) {
        let [idle, produce, fetch, listed] = law.constants;
        let _ = writeln!(
            text,
            "\nCPU of the broker a second = {:.1} ms + {produce:.0} us × requests to produce + ({fetch:.1} us + {listed:.2} us × \
             partitions) × fetches; error of the {} points: {:.0} % (root mean square), {:.0} % at worst. Requests to produce and \
             fetches a second: while nothing waits, events and events × edges; while records wait, for each of the 333 windows \
             a second and each edge the partitions that the edge's records lie in, and 2 fetches.",
            idle / 1e3,
            growth.grid.len(),
            law.error * 100.0,
            law.worst * 100.0
        );
    }
    text
}

fn sizes(growth: &Growth) -> String {
    let (Some(edge), Some(last)) = (cluster::law(&growth.cluster), growth.connections.last()) else {
        return String::new();
    };
    let octets = last.process + last.kernel.unwrap_or(0.0);
    let brokers = law::law(&growth.grid);
    let head =
        ["users at a time", "events/s", "deliveries/s", "edges", "their cores, busy", "GB each", "brokers' cores"];
    let mut rows = vec![row(head)];
    for users in USERS {
        let Some(it) = size(&ASSUMED, users, edge.constants, octets, brokers.as_ref()) else { continue };
        rows.push(vec![
            count(it.users),
            count(it.events),
            count(it.deliveries),
            count(it.edges),
            format!("{:.1}", it.edge_cores),
            format!("{:.2}", it.edge_gb),
            it.broker_cores.map_or_else(|| "–".to_owned(), |cores| format!("{cores:.1}")),
        ]);
    }
    let it = &ASSUMED;
    let mut text = String::from("**Computed from the laws above, not measured.** ");
    let _ = writeln!(
        text,
        "Assumed: a SEND of each user every {:.0} s, {:.0} connected members in a room, edges of {:.0} cores of which {:.0} % are \
         used, at most {} connections each, heart-beats of 25 s ({} us a second for each connection), {:.0} B for each connection, \
         {:.0} MB for each edge beside; two edges at least. Brokers: what leading 12 partitions costs, without replication.\n",
        it.between,
        it.room,
        it.cores,
        it.used * 100.0,
        count(it.connections),
        it.idle_us,
        octets,
        it.base / 1e6
    );
    text + &table(&rows)
}

fn count(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", short(value / 1e6)),
        1e4.. => format!("{:.0} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let text = "a\n<!-- growth sizes -->\nold\n<!-- end -->\nb\n<!-- growth brokers -->\n<!-- end -->\n";
        let text = replaced(text, "growth sizes", "new\n").unwrap();
        assert_eq!(text, "a\n<!-- growth sizes -->\nnew\n<!-- end -->\nb\n<!-- growth brokers -->\n<!-- end -->\n");
        assert_eq!(replaced(&text, "missing", ""), None);
    }

    #[test]
    fn tables_are_aligned() {
        let text = table(&[row(["a", "long head"]), row(["longer", "b"])]);
        assert_eq!(text, "| a      | long head |\n| ------ | --------- |\n| longer | b         |\n");
    }
}
