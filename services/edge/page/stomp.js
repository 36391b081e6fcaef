// A small STOMP 1.2 client for browsers (with link.js and frame.js): heart-beats, receipts, reconnecting. No dependency,
// no DOM.
//
//   const client = new Client('wss://example.org/ws', {
//     onConnect() { client.subscribe('/topic/lobby', (message) => console.log(message.text)); },
//   });
//   client.open();
//   const receipt = await client.send('/topic/lobby', 'hello', { 'content-type': 'text/plain' });
//   receipt.headers['message-id'];                  // the message is stored; this is its place in the log
//
// `onConnect` runs after every CONNECTED, the ones after a lost connection included: subscribe there, with `x-from`.
// A promise of `send` and `subscribe` is settled by the RECEIPT, or rejected with a StompError that says whether the
// frame was refused or whether nobody knows: send again then, with the same `x-idempotency-key`.
//
// An edge that is replaced says when to go. The client is connected to another one then before it leaves: `onConnect` runs,
// nothing comes from the old connection any more, and what was sent on it is still answered there.

import { StompError } from './frame.js';
import { Link } from './link.js';

export { advice } from './link.js';
export { Frame, StompError } from './frame.js';

const SETTLED_MS = 10_000; // a connection that lived so long starts the back-off anew
const RESTART_MS = 5_000; // all clients of an edge that was replaced come back within this time
const RESTARTS = new Set([1001, 1012]);

/** Full jitter: up to 1 s before the first retry, up to 30 s later (milliseconds). */
export const backOff = (attempt, random = Math.random) => random() * Math.min(30_000, 500 * 2 ** attempt);

/** The same after a close code: where the edge was replaced, everybody comes back, so the first retry takes its time. */
export const pause = (code, attempt, random = Math.random) =>
  (attempt === 1 && RESTARTS.has(code) ? random() * RESTART_MS : backOff(attempt, random));

/**
 * A connection that comes back by itself. Callbacks, all optional:
 * - `onState(state)`: `{ name: 'connecting' | 'live' | 'away' | 'ended', why?, retryAt? }`, retryAt in ms since 1970;
 * - `onConnect(frame)`: CONNECTED arrived; subscribe here;
 * - `onError(frame)`: an ERROR that belongs to no frame of ours that is still open.
 */
export class Client {
  #url; #options; #link; #next; #left; #attempt = 0; #retry; #numbers = 0;

  /** Options: the callbacks, `headers` for CONNECT, `heartBeat` in ms, `WebSocket` (a class, for tests). */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = { headers: {}, heartBeat: 10_000, WebSocket: globalThis.WebSocket, ...options };
  }

  get live() {
    return this.#link?.live ?? false;
  }

  /** Connects now, also when a retry is waiting for its time or the connection was ended. */
  open() {
    if (this.#link) return;
    clearTimeout(this.#retry);
    this.#state({ name: 'connecting' });
    this.#link = this.#connect();
  }

  /** Leaves for good. */
  close() {
    clearTimeout(this.#retry);
    const links = [this.#link, this.#next, this.#left];
    this.#link = this.#next = this.#left = undefined;
    for (const link of links) link?.end('closed');
    this.#state({ name: 'ended', why: 'closed' });
  }

  /** Resolves with the RECEIPT frame. */
  send(destination, body, headers = {}) {
    return this.#linkNow().request('SEND', { destination, ...headers }, body);
  }

  /** Calls `onMessage(frame)` for each MESSAGE, until the connection ends. `receipt` resolves with the RECEIPT. */
  subscribe(destination, onMessage, headers = {}) {
    return this.#linkNow().subscribe(destination, onMessage, headers);
  }

  /** MESSAGEs on the way are dropped. */
  unsubscribe(id) {
    this.#link?.unsubscribe(id);
  }

  /** Rejects the frame that a refusal names: an ERROR, or a MESSAGE of `/user/queue/errors`. */
  refuse(frame) {
    return [this.#link, this.#left].some((link) => link?.refuse(frame));
  }

  #linkNow() {
    return this.#link ?? NOWHERE;
  }

  #connect() {
    const link = new Link(this.#url, this.#options, () => this.#numbers++, {
      live: (frame) => this.#isLive(link, frame),
      lost: (how) => this.#isLost(link, how),
      error: (frame) => this.#options.onError?.(frame),
      drains: (after) => {
        if (link === this.#link) this.#moveIn(after);
      },
    });
    return link;
  }

  #isLive(link, frame) {
    if (link === this.#next) {
      this.#left = this.#link;
      this.#left.leave();
      this.#link = link;
      this.#next = undefined;
    }
    this.#state({ name: 'live' });
    this.#options.onConnect?.(frame);
  }

  /** The edge goes: another connection first. */
  #moveIn(ms) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#next = this.#connect();
    }, ms);
  }

  #isLost(link, { code, why, retry, after }) {
    if (link === this.#left) {
      this.#left = undefined;
    } else if (link === this.#next) {
      this.#next = undefined;
      // The connection that it was to replace is still there, until its edge closes it.
      if (retry) this.#moveIn(after + backOff(++this.#attempt));
    } else if (link === this.#link) {
      clearTimeout(this.#retry);
      if (link.age > SETTLED_MS) this.#attempt = 0;
      this.#link = this.#next;
      this.#next = undefined;
      if (this.#link) return this.#state({ name: 'connecting' });
      if (!retry) return this.#state({ name: 'ended', why });
      const delay = after + pause(code, ++this.#attempt);
      this.#retry = setTimeout(() => this.open(), delay);
      this.#state({ name: 'away', why, retryAt: Date.now() + delay });
    }
    return undefined;
  }

  #state(state) {
    this.#options.onState?.(state);
  }
}

// What a client without a connection has: a link that was never made.
const NOWHERE = Object.freeze({
  request: () => Promise.reject(new StompError('not connected', { outcome: 'unsent' })),
  subscribe: () => ({ id: '', receipt: NOWHERE.request() }),
});
