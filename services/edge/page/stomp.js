// A small STOMP 1.2 client for browsers (with frame.js): heart-beats, receipts, reconnecting. No dependency, no DOM.
//
//   const client = new Client('wss://example.org/ws', {
//     onConnect() { client.subscribe('/topic/lobby', (message) => console.log(message.text)); },
//   });
//   client.open();
//   const receipt = await client.send('/topic/lobby', 'hello', { 'content-type': 'text/plain' });
//   receipt.headers['message-id'];                  // the message is stored; this is its place in the log
//
// `onConnect` runs after every CONNECTED, the ones after a lost connection included: subscribe there.
// A promise of `send` and `subscribe` is settled by the RECEIPT, or rejected with a StompError that says whether the
// frame was refused or whether nobody knows: send again then, with the same `x-idempotency-key`.

import { Decoder, StompError, encode } from './frame.js';

export { Frame, StompError } from './frame.js';

const CONNECT_TIMEOUT_MS = 10_000;
const RECEIPT_TIMEOUT_MS = 20_000; // an edge settles every SEND within 17 s
const SETTLED_MS = 10_000; // a connection that lived so long starts the back-off anew
const CLOSE_REASONS = {
  1001: 'the server is going away', 1002: 'the server did not understand us', 1008: 'the server does not allow it',
  1009: 'a message was too large', 1011: 'the server has failed', 1012: 'the server is restarting',
  1013: 'the server is busy', 4001: 'the server is about to restart', 4002: 'this client was too slow',
  4003: 'messages were missed', 4004: 'the log is away', 4501: 'the credentials are not valid, or no longer',
  4502: 'this user is banned', 4503: 'this client is too old for the server',
};

// `x-error` of an ERROR after which the same client may come back, although the close code is one of a broken rule.
const LATE = new Set(['heart_beat_lost', 'connect_timeout']);

/** What a close code tells: may the client come back, and why it was closed. */
export function advice(code) {
  const retry = !(code === 1002 || code === 1008 || (code >= 4500 && code <= 4999));
  return { retry, why: CLOSE_REASONS[code] ?? 'the connection was lost' };
}

/** Full jitter: up to 1 s before the first retry, up to 30 s later (milliseconds). */
export const backOff = (attempt, random = Math.random) => random() * Math.min(30_000, 500 * 2 ** attempt);

/**
 * A connection that comes back by itself. Callbacks, all optional:
 * - `onState(state)`: `{ name: 'connecting' | 'live' | 'away' | 'ended', why?, retryAt? }`, retryAt in ms since 1970;
 * - `onConnect(frame)`: CONNECTED arrived; subscribe here;
 * - `onError(frame)`: an ERROR that belongs to no frame of ours that is still open.
 */
export class Client {
  #url; #options; #socket; #decoder; #live = false; #since = 0; #heard = 0; #attempt = 0; #error; #timers = [];
  #retry; #receipts = new Map(); #subscriptions = new Map(); #next = 0;

  /** Options: the callbacks, `headers` for CONNECT, `heartBeat` in ms, `WebSocket` (a class, for tests). */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = { headers: {}, heartBeat: 10_000, WebSocket: globalThis.WebSocket, ...options };
  }

  get live() {
    return this.#live;
  }

  /** Connects now, also when a retry is waiting for its time or the connection was ended. */
  open() {
    if (this.#socket) return;
    clearTimeout(this.#retry);
    this.#state({ name: 'connecting' });
    this.#error = undefined;
    this.#decoder = new Decoder();
    const socket = new this.#options.WebSocket(this.#url, ['v12.stomp']);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    const current = (handle) => (event) => this.#socket === socket && handle(event);
    socket.onopen = current(() => this.#connect());
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#lost(event.code, event.reason));
    this.#timers.push(setTimeout(() => this.#lost(0, 'the server does not answer'), CONNECT_TIMEOUT_MS));
  }

  /** Leaves for good. */
  close() {
    if (this.#live) this.#socket.send(encode('DISCONNECT'));
    this.#lost(1000, 'closed', false);
  }

  /** Resolves with the RECEIPT frame. */
  send(destination, body, headers = {}) {
    return this.#request('SEND', { destination, ...headers }, body);
  }

  /** Calls `onMessage(frame)` for each MESSAGE, until the connection ends. `receipt` resolves with the RECEIPT. */
  subscribe(destination, onMessage, headers = {}) {
    const id = String(this.#next++);
    this.#subscriptions.set(id, onMessage);
    return { id, receipt: this.#request('SUBSCRIBE', { id, destination, ...headers }) };
  }

  /** MESSAGEs on the way are dropped. */
  unsubscribe(id) {
    if (this.#subscriptions.delete(id) && this.#live) this.#socket.send(encode('UNSUBSCRIBE', { id }));
  }

  #request(command, headers, body) {
    if (!this.#live) return Promise.reject(new StompError('not connected', { outcome: 'unsent' }));
    const receipt = `r${this.#next++}`;
    return new Promise((resolve, reject) => {
      this.#socket.send(encode(command, { ...headers, receipt }, body));
      const timer = setTimeout(() => this.#settle(receipt, ({ reject }) => reject(
        new StompError('no receipt in time', { outcome: 'unknown' }))), RECEIPT_TIMEOUT_MS);
      this.#receipts.set(receipt, { resolve, reject, timer });
    });
  }

  #settle(receipt, how) {
    const waiting = this.#receipts.get(receipt);
    if (!waiting) return false;
    this.#receipts.delete(receipt);
    clearTimeout(waiting.timer);
    how(waiting);
    return true;
  }

  /** Rejects the frame that a refusal names: an ERROR, or a MESSAGE of `/user/queue/errors`. */
  refuse(frame) {
    const { message, 'receipt-id': receipt, 'x-error': label, 'x-error-code': code, 'retry-after': after } = frame.headers;
    return this.#settle(receipt, ({ reject }) => reject(new StompError(message || frame.text || label || 'refused', {
      outcome: label === 'send_unknown' ? 'unknown' : 'refused',
      code,
      retryAfter: after === undefined ? undefined : Number(after) || 0,
    })));
  }

  #connect() {
    const { headers, heartBeat } = this.#options;
    this.#socket.send(encode('CONNECT', {
      'accept-version': '1.2', host: new URL(this.#url).hostname, 'heart-beat': `${heartBeat},${heartBeat}`, ...headers,
    }));
  }

  #receive(data) {
    this.#heard = Date.now();
    try {
      for (const frame of this.#decoder.push(data)) this.#handle(frame);
    } catch (error) {
      if (!(error instanceof StompError)) throw error;
      this.#lost(0, `the server sent what is not STOMP (${error.message})`);
    }
  }

  #handle(frame) {
    const { headers } = frame;
    switch (frame.command) {
      case 'CONNECTED': return this.#connected(frame);
      case 'MESSAGE': return this.#subscriptions.get(headers.subscription)?.(frame);
      case 'RECEIPT': return this.#settle(headers['receipt-id'], ({ resolve }) => resolve(frame));
      case 'ERROR':
        this.#error = frame; // the server closes after it, and the close code says whether to come back
        if (!this.refuse(frame)) this.#options.onError?.(frame);
        return this.#timers.push(setTimeout(() => this.#lost(0), 5_000));
      default: throw new StompError(`unknown command ${frame.command}`);
    }
  }

  #connected(frame) {
    this.#clearTimers();
    this.#live = true;
    this.#since = Date.now();
    const [theirs, wish] = (frame.headers['heart-beat'] ?? '0,0').split(',').map(Number);
    const mine = this.#options.heartBeat;
    // A little early, because some peers allow no delay; and twice the interval for theirs, because networks have some.
    if (mine && wish) this.#timers.push(setInterval(() => this.#socket.send('\n'), Math.max(mine, wish) * 0.85));
    const silence = Math.max(mine, theirs) * 2;
    if (mine && theirs) {
      this.#timers.push(setInterval(() => {
        if (Date.now() - this.#heard > silence) this.#lost(0, 'the server has fallen silent');
      }, silence / 8));
    }
    this.#state({ name: 'live' });
    this.#options.onConnect?.(frame);
  }

  #lost(code, reason, mayRetry = true) {
    const told = advice(code);
    const after = Number(this.#error?.headers['retry-after']) * 1000 || 0;
    const retry = mayRetry && (told.retry || after > 0 || LATE.has(this.#error?.headers['x-error']));
    const why = this.#error?.headers.message || reason || told.why;
    clearTimeout(this.#retry);
    this.#clearTimers();
    const socket = this.#socket;
    this.#socket = undefined;
    // Not waiting for its end: on a dead network the closing handshake takes minutes.
    socket?.close();
    if (this.#live && Date.now() - this.#since > SETTLED_MS) this.#attempt = 0;
    this.#live = false;
    this.#subscriptions.clear();
    for (const receipt of [...this.#receipts.keys()]) {
      this.#settle(receipt, ({ reject }) => reject(new StompError(why, { outcome: 'unknown' })));
    }
    if (!retry) return this.#state({ name: 'ended', why });
    const delay = after + backOff(++this.#attempt);
    this.#retry = setTimeout(() => this.open(), delay);
    this.#state({ name: 'away', why, retryAt: Date.now() + delay });
  }

  #clearTimers() {
    for (const timer of this.#timers.splice(0)) clearInterval(timer); // clears time-outs as well
  }

  #state(state) {
    this.#options.onState?.(state);
  }
}
