//! The way into an edge: its listeners, on one thread. The public one upgrades sockets and hands them to the workers (and
//! serves the page), the admin one answers probes; a third one, where there is one, hands over what it accepts at once.
//! warp routes; accepting, counting and refusing are done here.

mod accept;
mod admission;
mod connection;
mod leaving;
mod settings;
mod slots;
mod stay;
mod stomp;

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use warp::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::admin::{self, Admin, MetricsText};
use crate::auth::CredentialSettings;
use crate::compare::{self, Compare};
use crate::page;
use crate::readiness::{Check, Readiness};
use crate::rooms;
use crate::shutdown::Shutdown;
use crate::sockjs;
use crate::upgrade::{OriginCheck, Sockets, Upgrades};
use crate::worker::Pipes;
pub(crate) use admission::Admission;
use connection::Limits;
pub(crate) use connection::Peer;
pub(crate) use leaving::{Leaving, Stream};
pub use settings::ServerSettings;
pub use slots::ConnectionGuard;
pub(crate) use slots::Slots;
pub(crate) use stay::{Stay, Staying};

/// Unready from here on, so that the load balancer turns away before connections have to be refused.
const NEARLY_FULL_PERCENT: usize = 95;

/// What the HTTP side reports to whoever counts. All calls come from the HTTP thread and must be quick.
pub trait ServerEvents: Send + Sync + 'static {
    /// An attempt to open a WebSocket, or a session over XHR, ended: `upgraded`, or why not. Refused as HTTP: `method`,
    /// `malformed`, `version`, `origin`, `starting`, `draining`, `full`, `admission`. Refused as TCP: `connections`,
    /// `half_open`, `address`. Gave up: `timeout` (no complete request), `aborted` (gone before it had the 101), `workers`
    /// (no worker took it). One for STOMP on TCP is `accepted`, or refused for one of the same reasons.
    fn opened(&self, result: &'static str);
    /// A worker has an upgraded connection, so long after it was accepted, or after its last answer.
    fn upgraded(&self, _after: Duration) {}
    /// The system refused to accept (too many open files, no memory): accepting pauses.
    fn accept_failed(&self, error: &io::Error);
    /// A client took nothing any more of what it was answered, and was cut.
    fn slow(&self);
}

/// What the HTTP side works with.
#[derive(Clone)]
pub struct ServerParts {
    /// Gates upgrades, answers probes.
    pub readiness: Arc<Readiness>,
    /// What an operator may begin.
    pub shutdown: Shutdown,
    /// Takes the upgraded sockets.
    pub sockets: Arc<dyn Sockets>,
    /// Decides about foreign pages.
    pub origin: OriginCheck,
    /// Where tokens may stand.
    pub credentials: CredentialSettings,
    /// Counts.
    pub events: Arc<dyn ServerEvents>,
    /// Writes `/metrics`.
    pub metrics: MetricsText,
    /// What the page `/compare` asks for.
    pub compare: Compare,
    /// Where requests for rooms open sessions.
    pub requests: Arc<Pipes>,
}

/// All listeners, bound; [`Server::run`] serves them.
pub struct Server {
    runtime: Runtime,
    public: std::net::TcpListener,
    admin: std::net::TcpListener,
    stomp: Option<std::net::TcpListener>,
    settings: ServerSettings,
    parts: ServerParts,
    slots: Arc<Slots>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Binds all addresses; clients may connect from now on and wait for [`Server::run`].
    ///
    /// # Errors
    /// An address that cannot be bound (it is named), or no runtime.
    pub fn bind(settings: ServerSettings, parts: ServerParts) -> io::Result<Self> {
        let public = accept::listen(settings.listen)?;
        let admin = accept::listen(settings.admin)?;
        let stomp = settings.stomp.map(stomp::listen).transpose()?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let slots = Slots::new(settings.max_connections, settings.max_half_open, settings.max_per_address);
        let (counted, limit) = (Arc::clone(&slots), settings.max_connections);
        parts.readiness.probe(Check::Capacity, move || {
            let open = counted.open();
            let nearly_full = open.saturating_mul(100) >= limit.saturating_mul(NEARLY_FULL_PERCENT);
            if nearly_full { Err(format!("{open} of {limit} connections")) } else { Ok(()) }
        });
        Ok(Self { runtime, public, admin, stomp, settings, parts, slots, stop: watch::Sender::new(false) })
    }

    /// The public address with the port that was chosen.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The admin address with the port that was chosen.
    ///
    /// # Errors
    /// What the system says.
    pub fn admin_addr(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// The address for STOMP on TCP with the port that was chosen, if there is one.
    ///
    /// # Errors
    /// What the system says.
    pub fn stomp_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.stomp.as_ref().map(std::net::TcpListener::local_addr).transpose()
    }

    /// Stops, counts and borrows the runtime from any thread, before and while it runs.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { stop: self.stop.clone(), slots: Arc::clone(&self.slots), runtime: self.runtime.handle().clone() }
    }

    /// Serves on the calling thread until [`ServerHandle::stop`]. Sockets that were handed over are not touched.
    ///
    /// # Errors
    /// If the listeners cannot be registered with the runtime.
    pub fn run(self) -> io::Result<()> {
        let Self { runtime, public, admin, stomp, settings, parts, slots, stop } = self;
        let limits = Limits { header_timeout: settings.header_timeout, lifetime: settings.http_lifetime };
        // A scraper keeps its connection for longer than a browser, and there are few of them.
        let admin_limits = Limits { header_timeout: Duration::from_secs(30), lifetime: Duration::from_secs(600) };
        let admin_slots = Slots::new(128, 128, 0);
        let counted = Arc::clone(&slots);
        let admin_routes = admin::route(Admin {
            readiness: Arc::clone(&parts.readiness),
            metrics: parts.metrics,
            shutdown: parts.shutdown,
            grace: settings.grace,
            connections: Arc::new(move || counted.open()),
        });
        let admission = Arc::new(Admission::new(settings.admit_rate));
        let events = Arc::clone(&parts.events);
        let cut = Arc::clone(&slots);
        let compare = parts.compare.and_cut(move || cut.cut());
        let page = settings.page.then(|| (compare, Arc::clone(&parts.origin)));
        let door = stomp::Door {
            readiness: Arc::clone(&parts.readiness),
            sockets: Arc::clone(&parts.sockets),
            slots: Arc::clone(&slots),
            admission: Arc::clone(&admission),
            events: Arc::clone(&parts.events),
        };
        let upgrades = Upgrades {
            strict: settings.strict,
            readiness: parts.readiness,
            sockets: parts.sockets,
            origin: parts.origin,
            credentials: parts.credentials,
            admission,
            events: parts.events,
        };
        let (paths, echo, public_url) = (settings.websocket_paths, settings.echo_path, settings.public_url);
        let xhr = settings.xhr.map(|settings| sockjs::Sessions::new(settings, Arc::clone(&slots)));
        let upgrades = Arc::new(upgrades);
        let rooms =
            settings.http_api.then(|| rooms::Service::new(Arc::clone(&upgrades), parts.requests, settings.requests));
        let service = sockjs::Service::new(paths, echo, upgrades, xhr, public_url);
        runtime.block_on(async {
            let below_paths = sockjs::route(Arc::new(service));
            let below_paths = below_paths.or(rooms::route(rooms.map(Arc::new))).unify();
            let public = tokio::net::TcpListener::from_std(public)?;
            let admin = tokio::net::TcpListener::from_std(admin)?;
            let quiet: Arc<dyn ServerEvents> = Arc::new(Uncounted);
            if let Some(stomp) = stomp {
                tokio::spawn(stomp::run(tokio::net::TcpListener::from_std(stomp)?, door));
            }
            tokio::spawn(accept::run(admin, admin_routes, admin_slots, admin_limits, quiet));
            if let Some((compare, origin)) = page {
                let pages = page::route().or(compare::route(compare, origin)).unify();
                let routes = or_not_found(below_paths.or(pages).unify());
                tokio::spawn(accept::run(public, routes, slots, limits, events));
            } else {
                tokio::spawn(accept::run(public, or_not_found(below_paths), slots, limits, events));
            }
            let mut stopped = stop.subscribe();
            // An error would mean that the sender is gone, and this very function holds it.
            let _ = stopped.wait_for(|stop| *stop).await;
            Ok(())
        })
    }
}

/// A view on the running server for other threads.
#[derive(Clone)]
pub struct ServerHandle {
    stop: watch::Sender<bool>,
    slots: Arc<Slots>,
    runtime: Handle,
}

impl ServerHandle {
    /// Ends [`Server::run`]: all listeners close, and with them every connection that still speaks HTTP.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Open public connections, upgraded ones included.
    pub fn connections(&self) -> usize {
        self.slots.open()
    }

    /// Public connections that speak HTTP, and that nobody has let in.
    pub fn half_open(&self) -> usize {
        self.slots.half_open()
    }

    /// Those of them that speak HTTP and have no request that is waited for.
    pub fn idle(&self) -> usize {
        self.slots.idle()
    }

    /// The runtime of the HTTP thread, for short work that should not disturb the workers.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// The admin listener's refusals are nobody's attempt to open a WebSocket.
struct Uncounted;

impl ServerEvents for Uncounted {
    fn opened(&self, _: &'static str) {}
    fn accept_failed(&self, _: &io::Error) {}
    fn slow(&self) {}
}

/// A path that no route knows is a plain 404, never an error of ours.
fn or_not_found<F>(
    routes: F,
) -> impl Filter<Extract = (Response,), Error = std::convert::Infallible> + Clone + Send + Sync + 'static
where
    F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
{
    routes.or_else(|_: Rejection| std::future::ready(Ok((text(StatusCode::NOT_FOUND, "not found\n"),))))
}

/// A plain text answer that nobody caches.
pub(crate) fn text(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Response {
    let body = match body.into() {
        Cow::Borrowed(body) => body.into(),
        Cow::Owned(body) => body.into(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A number of seconds between the two, so that those refused together do not come back together.
pub(crate) fn jitter(least: u32, most: u32) -> u32 {
    least + getrandom::u32().unwrap_or(0) % (most - least + 1)
}

/// 405, in these words; these methods are there.
pub(crate) fn only(methods: &'static str, words: &'static str) -> Response {
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, words);
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refusal
}
