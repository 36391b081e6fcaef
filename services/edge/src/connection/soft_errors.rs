//! Refusals that leave the session open, for who asked for it with `CONNECT x-errors:soft` (`stomp.md` §7).

use stomp_proto::Text;

use super::Connection;
use crate::{
    context::Context,
    destination::ERRORS,
    disconnect::Ending,
    frames::{Shape, own_message},
    transport::Transport,
};

impl Connection {
    /// A refusal as a MESSAGE on `/user/queue/errors`, for a session that asked for it. Returns whether it was.
    pub(super) fn soft_error(
        &mut self,
        ending: Ending,
        detail: Option<&str>,
        destination: Option<&str>,
        receipt: Option<&Text>,
        cx: &mut Context<'_>,
    ) -> bool {
        let facts = ending.facts();
        let (Some((text, code)), true) = (facts.error, self.soft_errors && ending.may_be_soft()) else { return false };
        let version = self.version();
        let Some((subscription, number)) = self.subscriptions.next_error() else { return false };
        let (code, retry) = (code.to_string(), facts.retry_after.map(|seconds| seconds.to_string()));
        let optional = [
            ("receipt-id", receipt.map(Text::as_str)),
            ("x-destination", destination),
            ("retry-after", retry.as_deref()),
        ];
        let mut headers = vec![("x-error-code", code.as_str()), ("x-error", facts.label)];
        headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let id = format!("error-{number}");
        let shape = Shape { framing: self.transport.framing(), version, prefix: ERRORS, suffix: "", subscription };
        let frame = own_message(shape, &id, &headers, detail.unwrap_or(text));
        self.outbound.push(frame, &mut cx.spares.queues);
        cx.metrics.stomp.soft_errors.of(ending).inc();
        true
    }
}
