//! What a cluster of so many users needs, by the laws: computed, not measured.

use super::super::law::{self, DEFAULT, Setting};
use crate::bench::fit::Fit;

/// What is assumed of users and machines.
pub(super) struct Assumed {
    /// Seconds between two SENDs of a user.
    pub(super) between: f64,
    /// Members of a room who are connected.
    pub(super) room: f64,
    /// Cores of an edge.
    pub(super) cores: f64,
    /// How much of them may be used.
    pub(super) used: f64,
    /// Connections of an edge at most.
    pub(super) connections: f64,
    /// Microseconds for each connection and second: heart-beats of 25 s (performance.md row 7).
    pub(super) idle_us: f64,
    /// Octets of an edge that do not depend on connections: the tail among them.
    pub(super) base: f64,
}

pub(super) const ASSUMED: Assumed =
    Assumed { between: 120.0, room: 20.0, cores: 4.0, used: 0.6, connections: 200_000.0, idle_us: 0.7, base: 200e6 };

/// So many users, connected at the same time.
pub(super) const USERS: [f64; 4] = [1e4, 1e5, 1e6, 1e7];

/// A cluster for them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Size {
    pub(super) users: f64,
    pub(super) events: f64,
    pub(super) deliveries: f64,
    pub(super) edges: f64,
    /// Of all edges, used.
    pub(super) edge_cores: f64,
    /// Of each edge.
    pub(super) edge_gb: f64,
    /// Of all leaders together, without replication.
    pub(super) broker_cores: Option<f64>,
}

/// `a`, `b`: microseconds for each event of the cluster and for each delivery; `octets` for each connection.
pub(super) fn size(it: &Assumed, users: f64, [a, b]: [f64; 2], octets: f64, brokers: Option<&Fit<4>>) -> Option<Size> {
    let events = users / it.between;
    let deliveries = events * it.room;
    // Each edge reads everything; what is left of it serves clients.
    let left = it.cores * it.used * 1e6 - a * events;
    if left <= 0.0 {
        return None;
    }
    let by_cpu = (b * deliveries + it.idle_us * users) / left;
    // Two, so that one may fail.
    let edges = by_cpu.max(users / it.connections).ceil().max(2.0);
    let edge_cores = (edges * a * events + b * deliveries + it.idle_us * users) / 1e6;
    let setting = Setting { name: DEFAULT, args: &[], rate: events, edges: edges as u32, partitions: 12 };
    Some(Size {
        users,
        events,
        deliveries,
        edges,
        edge_cores,
        edge_gb: (it.base + users / edges * octets) / 1e9,
        broker_cores: brokers.map(|law| law.at(&law::terms(&setting)) / 1e6),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn more_users_need_more_edges_and_each_edge_reads_everything() {
        let sizes: Vec<Size> =
            USERS.iter().map(|users| size(&ASSUMED, *users, [1.0, 8.0], 6_000.0, None).unwrap()).collect();
        assert_eq!(sizes[0].edges, 2.0);
        assert!(sizes.windows(2).all(|pair| pair[0].edges <= pair[1].edges));
        let largest = &sizes[3];
        assert!((largest.events - 83_333.3).abs() < 1.0 && largest.edges >= 50.0);
        let busy = largest.edge_cores / largest.edges;
        assert!(busy <= ASSUMED.cores * ASSUMED.used + 1e-9, "{busy} cores of each");
    }

    #[test]
    fn beyond_what_one_edge_can_read_there_is_no_size() {
        assert_eq!(size(&ASSUMED, 1e9, [1.0, 8.0], 6_000.0, None), None);
    }
}
