//! A room on a plain WebSocket: the upgrade is that of any WebSocket here, the rest is [`crate::transport::RoomSocket`]'s.

use warp::reply::Response;

use super::Service;
use super::opening::{Opening, place};
use super::problem::{Problem, refused};
use super::query::Query;
use crate::transport::Kind;
use crate::upgrade::Request;

impl Service {
    pub(super) fn socket(&self, request: Request, query: &Query, room: &str) -> Result<Response, Problem> {
        let from = query.only("after")?.map(place);
        // A refused message must not cost the reader its place.
        let opening = Opening::connect(0, true).errors().subscribe(0, room, from).octets();
        Ok(self.upgrades.answer(request, Kind::RoomSocket(room.into()), opening).unwrap_or_else(|refusal| {
            self.upgrades.events.opened(refusal.name());
            refused(refusal)
        }))
    }
}
