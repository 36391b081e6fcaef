//! The pictures, each a file.

use super::{
    super::{
        cluster::{self, Point},
        law::{self, Share},
    },
    Growth,
};
use crate::{
    bench::row::Spread,
    plot::{Axis, Curve, Plot, Scale},
};

/// File names and what is in them.
pub(super) fn all(growth: &Growth) -> Vec<(&'static str, String)> {
    let plots = [
        ("connections.svg", connections(growth)),
        ("memory.svg", memory(growth)),
        ("rooms.svg", rooms(growth)),
        ("cluster.svg", cluster_plot(growth)),
        ("brokers.svg", brokers(growth)),
        ("partitions.svg", partitions(growth)),
    ];
    plots.into_iter().filter_map(|(name, plot)| Some((name, plot.svg()?))).collect()
}

fn axis(name: &str, scale: Scale) -> Axis {
    Axis { name: name.to_owned(), scale }
}

fn spread_curve(name: &str, points: impl Iterator<Item = (f64, Spread)>) -> Curve {
    let points: Vec<_> = points.collect();
    Curve {
        name: name.to_owned(),
        spread: points.iter().map(|(_, it)| (it.min, it.max)).collect(),
        points: points.into_iter().map(|(x, it)| (x, it.median)).collect(),
        computed: false,
    }
}

fn curve(name: String, points: Vec<(f64, f64)>, computed: bool) -> Curve {
    Curve { name, points, spread: Vec::new(), computed }
}

fn connections(growth: &Growth) -> Plot {
    let points = || growth.connections.iter().map(|point| (f64::from(point.connections), point));
    Plot {
        title: "CPU for each delivery, against connections".to_owned(),
        subtitle: "rooms of 50, 400 events/s, memory log, one core; the bars are the rounds".to_owned(),
        x: axis("connections", Scale::Logarithmic),
        y: axis("µs of CPU for each delivery", Scale::Linear),
        curves: vec![
            spread_curve("edge", points().map(|(x, point)| (x, point.edge))),
            spread_curve(
                "raw: a loop that sends finished frames, nothing else",
                points().map(|(x, point)| (x, point.raw)),
            ),
        ],
    }
}

fn memory(growth: &Growth) -> Plot {
    let points = || growth.connections.iter().map(|point| (f64::from(point.connections), point));
    let mut curves =
        vec![curve("the edge's process".to_owned(), points().map(|(x, point)| (x, point.process)).collect(), false)];
    let whole: Vec<_> = points().filter_map(|(x, point)| Some((x, point.process + point.kernel?))).collect();
    if !whole.is_empty() {
        curves.push(curve("with the kernel's part".to_owned(), whole, false));
    }
    Plot {
        title: "Memory for each connection with one subscription".to_owned(),
        subtitle: "idle, just subscribed".to_owned(),
        x: axis("connections", Scale::Logarithmic),
        y: axis("octets for each connection", Scale::Linear),
        curves,
    }
}

fn rooms(growth: &Growth) -> Plot {
    let points = growth.rooms.iter().map(|point| (f64::from(point.rooms), point.cost));
    Plot {
        title: "CPU for each event that nobody here wants, against rooms".to_owned(),
        subtitle: "50 k events/s of other edges, all rooms alike, Kafka, the whole edge; the bars are the rounds"
            .to_owned(),
        x: axis("rooms that events are drawn from", Scale::Logarithmic),
        y: axis("µs of CPU for each event", Scale::Linear),
        curves: vec![spread_curve("edge", points)],
    }
}

fn cluster_plot(growth: &Growth) -> Plot {
    let mut loads: Vec<f64> = growth.cluster.iter().map(rounded).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    let law = cluster::law(&growth.cluster);
    let mut curves = Vec::new();
    for deliveries in loads {
        let of: Vec<&Point> = growth.cluster.iter().filter(|point| rounded(point) == deliveries).collect();
        let measured = of.iter().map(|point| (point.events / 1e3, point.cpu / 1e4)).collect();
        curves.push(curve(format!("{:.0} k deliveries/s here", deliveries / 1e3), measured, false));
        if let Some(law) = &law {
            let line = of.iter().map(|point| (point.events / 1e3, law.at(&[point.events, point.deliveries]) / 1e4));
            curves.push(curve(
                format!("the same by a × events + b × deliveries, {:.0} k", deliveries / 1e3),
                line.collect(),
                true,
            ));
        }
    }
    Plot {
        title: "CPU of an edge, against the events of its cluster".to_owned(),
        subtitle: law.map_or_else(String::new, |law| {
            let [a, b] = law.constants;
            format!("a = {a:.2} µs for each event of the cluster, b = {b:.2} µs for each delivery")
        }),
        x: axis("thousand events a second in the cluster", Scale::Linear),
        y: axis("% of one core", Scale::Linear),
        curves,
    }
}

/// Deliveries as they were meant: those of some rounds are a little fewer.
fn rounded(point: &Point) -> f64 {
    (point.deliveries / 5e3).round() * 5e3
}

fn brokers(growth: &Growth) -> Plot {
    let law = law::law(&growth.grid);
    let of = |name: &'static str, edges: u32, partitions: u32| {
        growth.grid.iter().filter(move |share| {
            let it = &share.setting;
            it.name == name && it.edges == edges && it.partitions == partitions
        })
    };
    let mut curves = Vec::new();
    for (name, edges) in [(law::DEFAULT, 1), (law::NEVER, 1), (law::DEFAULT, 4), (law::NEVER, 4)] {
        let label = format!("{edges} edge{}, {}", if edges == 1 { "" } else { "s" }, law::described(name));
        let points = of(name, edges, 12).map(|share| (share.setting.rate, share.broker_us)).collect();
        curves.push(curve(label, points, false));
    }
    if let Some(law) = law {
        let at = |share: &Share| (share.setting.rate, law.at(&law::terms(&share.setting)) / share.setting.rate);
        curves.push(curve(
            "4 edges, records wait: by the law".to_owned(),
            of(law::DEFAULT, 4, 12).map(at).collect(),
            true,
        ));
    }
    Plot {
        title: "CPU of the broker for each event".to_owned(),
        subtitle: "one broker, one copy, 12 partitions; waiting begins at 700 events a second".to_owned(),
        x: axis("events a second in the cluster", Scale::Logarithmic),
        y: axis("µs of broker CPU for each event", Scale::Linear),
        curves,
    }
}

fn partitions(growth: &Growth) -> Plot {
    let mut curves = Vec::new();
    for (rate, edges) in [(1_000.0, 1), (1_000.0, 4), (4_000.0, 1), (4_000.0, 4)] {
        let of = growth.grid.iter().filter(|share| {
            let it = &share.setting;
            it.name == law::DEFAULT && it.edges == edges && (it.rate - rate).abs() < 1.0
        });
        let points = of.map(|share| (f64::from(share.setting.partitions), share.broker_us)).collect();
        curves.push(curve(
            format!("{rate:.0} events/s, {edges} edge{}", if edges == 1 { "" } else { "s" }),
            points,
            false,
        ));
    }
    Plot {
        title: "CPU of the broker for each event, against partitions".to_owned(),
        subtitle: "one broker, one copy, records wait".to_owned(),
        x: axis("partitions", Scale::Linear),
        y: axis("µs of broker CPU for each event", Scale::Linear),
        curves,
    }
}
