// One STOMP connection: its socket, heart-beats, receipts and subscriptions. It never comes back: stomp.js opens another.

import { Decoder, StompError, encode } from './frame.js';

const CONNECT_TIMEOUT_MS = 10_000;
const RECEIPT_TIMEOUT_MS = 20_000; // an edge settles every SEND within 17 s
const NOTICES = '/session/notices'; // where an edge that drains says when to go
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

/**
 * `options` are those of a Client; `number()` gives numbers that no other link of it has. `on`:
 * - `live(frame)`: CONNECTED arrived;
 * - `lost({ code, why, retry, after })`: it is over; may one come back, and after how many ms at the earliest;
 * - `error(frame)`: an ERROR that belongs to no frame of ours that is still open;
 * - `drains(after)`: the edge goes, and this client is to be elsewhere in so many ms.
 */
export class Link {
  #url; #options; #number; #on; #socket; #decoder = new Decoder(); #live = false; #since = 0; #heard = 0; #error;
  #timers = []; #receipts = new Map(); #subscriptions = new Map();

  constructor(url, options, number, on) {
    this.#url = url;
    this.#options = options;
    this.#number = number;
    this.#on = on;
    const socket = new options.WebSocket(url, ['v12.stomp']);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    const current = (handle) => (event) => this.#socket === socket && handle(event);
    socket.onopen = current(() => this.#connect());
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#lost(event.code, event.reason));
    this.#timers.push(setTimeout(() => this.#lost(0, 'the server does not answer'), CONNECT_TIMEOUT_MS));
  }

  get live() {
    return this.#live;
  }

  /** How long it has been, or was, live (ms). */
  get age() {
    return this.#since && Date.now() - this.#since;
  }

  /** Resolves with the RECEIPT frame. */
  request(command, headers, body) {
    if (!this.#live) return Promise.reject(new StompError('not connected', { outcome: 'unsent' }));
    const receipt = `r${this.#number()}`;
    return new Promise((resolve, reject) => {
      this.#socket.send(encode(command, { ...headers, receipt }, body));
      const timer = setTimeout(() => this.#settle(receipt, ({ reject }) => reject(
        new StompError('no receipt in time', { outcome: 'unknown' }))), RECEIPT_TIMEOUT_MS);
      this.#receipts.set(receipt, { resolve, reject, timer });
    });
  }

  subscribe(destination, onMessage, headers) {
    const id = String(this.#number());
    this.#subscriptions.set(id, { destination, onMessage });
    return { id, receipt: this.request('SUBSCRIBE', { id, destination, ...headers }) };
  }

  unsubscribe(id) {
    if (this.#subscriptions.delete(id) && this.#live) this.#socket.send(encode('UNSUBSCRIBE', { id }));
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

  /** No room is heard any more, but what was sent is still answered; the server ends it then. */
  leave() {
    this.#clearTimers();
    for (const [id, { destination }] of this.#subscriptions) {
      if (!destination.startsWith('/user/')) this.#subscriptions.delete(id); // refusals are answers
    }
    this.#socket.send(encode('DISCONNECT', { receipt: `r${this.#number()}` }));
    this.#timers.push(setTimeout(() => this.#lost(0), RECEIPT_TIMEOUT_MS));
  }

  /** Ends it now, without a further word to anybody but the server. */
  end(why) {
    if (this.#live) this.#socket.send(encode('DISCONNECT'));
    this.#drop(why);
  }

  #settle(receipt, how) {
    const waiting = this.#receipts.get(receipt);
    if (!waiting) return false;
    this.#receipts.delete(receipt);
    clearTimeout(waiting.timer);
    how(waiting);
    return true;
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
      case 'MESSAGE': return this.#subscriptions.get(headers.subscription)?.onMessage(frame);
      case 'RECEIPT': return this.#settle(headers['receipt-id'], ({ resolve }) => resolve(frame));
      case 'ERROR':
        this.#error = frame; // the server closes after it, and the close code says whether to come back
        if (!this.refuse(frame)) this.#on.error(frame);
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
    this.#on.live(frame);
    if (this.#live && frame.headers['drain-notice'] === '1') {
      this.subscribe(NOTICES, ({ headers }) => {
        if (headers.type === 'drain') this.#on.drains(Number(headers['reconnect-after-ms']) || 0);
      }).receipt.catch(() => {}); // it has gone meanwhile
    }
  }

  #lost(code, reason) {
    const told = advice(code);
    const after = Number(this.#error?.headers['retry-after']) * 1000 || 0;
    const retry = told.retry || after > 0 || LATE.has(this.#error?.headers['x-error']);
    const why = this.#error?.headers.message || reason || told.why;
    this.#drop(why);
    this.#on.lost({ code, why, retry, after });
  }

  #drop(why) {
    this.#clearTimers();
    const socket = this.#socket;
    this.#socket = undefined;
    // Not waiting for its end: on a dead network the closing handshake takes minutes.
    socket?.close();
    this.#live = false;
    this.#subscriptions.clear();
    for (const receipt of [...this.#receipts.keys()]) {
      this.#settle(receipt, ({ reject }) => reject(new StompError(why, { outcome: 'unknown' })));
    }
  }

  #clearTimers() {
    for (const timer of this.#timers.splice(0)) clearInterval(timer); // clears time-outs as well
  }
}
