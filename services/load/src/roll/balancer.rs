//! What HAProxy knows of the edges.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::http::get;

/// An edge, as the balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// New connections go there.
    pub(super) up: bool,
    /// Connections.
    pub(super) sessions: u64,
}

/// By name: edge1 and so on.
///
/// # Errors
/// It does not answer.
pub(super) fn servers(stats: SocketAddr) -> Result<BTreeMap<String, Server>, String> {
    let (_, csv) = get(stats, "/;csv").map_err(|error| format!("HAProxy's statistics on {stats}: {error}"))?;
    parse(&csv).ok_or_else(|| format!("HAProxy's statistics on {stats}: none"))
}

fn parse(csv: &str) -> Option<BTreeMap<String, Server>> {
    // Before the head may stand the length of a chunk: HAProxy sends chunks to whoever speaks HTTP/1.0, too.
    let mut lines = csv.lines().skip_while(|line| !line.starts_with("# "));
    let names: Vec<&str> = lines.next()?.trim_start_matches("# ").split(',').collect();
    let column = |name| names.iter().position(|column| *column == name);
    let (proxy, name, sessions, status) = (column("pxname")?, column("svname")?, column("scur")?, column("status")?);
    let server = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let server = *cells.get(name)?;
        let (up, sessions) = (cells.get(status)?.starts_with("UP"), cells.get(sessions)?.parse().ok()?);
        (*cells.get(proxy)? == "edges" && server != "BACKEND").then(|| (server.to_owned(), Server { up, sessions }))
    };
    Some(lines.filter_map(server).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_table_is_read_by_its_head() {
        let csv = "8E9\r\n# pxname,svname,qcur,scur,status,\nws,FRONTEND,,7,OPEN,\nedges,edge1,0,5,UP,\nedges,edge2,0,2,UP 1/2,\n\
                   edges,edge3,0,0,DOWN,\nedges,BACKEND,0,7,UP,\n";
        let servers = parse(csv).unwrap();
        let told: Vec<_> = servers.iter().map(|(name, of)| (name.as_str(), of.up, of.sessions)).collect();
        assert_eq!(told, [("edge1", true, 5), ("edge2", true, 2), ("edge3", false, 0)]);
        assert_eq!(parse("<html>"), None);
    }
}
