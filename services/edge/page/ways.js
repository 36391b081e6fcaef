// The four ways into a room, as one would write each of them by hand: polling, EventSource, a plain WebSocket, STOMP.
// Each tells its `Tally` what it costs and brings. `resumes`: whether it goes on behind its token when it comes back.

import { answerOctets, frameOctets, octets } from './octets.js';
import { Client, advice, backOff, pause } from './stomp.js';

const POLL_MS = 2_000;
const LAST = 10; // what a poll without a token asks for
const PAGE = 500;

/** What all ways are given: the `room`, their `tally`, the `heads` of this browser, `said(key)` (when this page said that). */
class Way {
  resumes = true;
  #counted = new Map(); // octets by URL

  constructor({ room, tally, heads, said, clock }) {
    Object.assign(this, { room, tally, heads, said, clock });
  }

  get path() {
    return `/rooms/${encodeURIComponent(this.room)}`;
  }

  /** `?after=` where there is a token and it is used. */
  get after() {
    return this.resumes && this.tally.token ? `?after=${encodeURIComponent(this.tally.token)}` : '';
  }

  /** So much of a body has been counted; the browser will say how long it was. */
  body(path, counted) {
    const url = new URL(path, location.href).href;
    this.#counted.set(url, (this.#counted.get(url) ?? 0) + counted);
    this.tally.received += counted;
  }

  /** The browser has measured a body; 0: it has not. */
  measured(url, measured) {
    const counted = this.#counted.get(url);
    if (counted !== undefined && measured > 0) this.tally.received += measured - counted;
    this.#counted.delete(url);
  }

  heard({ id, idempotency_key: key, replayed }, again = replayed === true) {
    this.tally.message({ id, said: key && this.said(key), replayed: again }, this.clock());
  }
}

/** Asks every two seconds, whatever there is. Between two requests the edge holds nothing for it. */
export class Polling extends Way {
  #etag;

  start() {
    this.#poll();
  }

  async #poll() {
    const more = await this.#ask();
    setTimeout(() => this.#poll(), more ? 0 : POLL_MS);
  }

  /** One request; whether there is more to be had at once. */
  async #ask() {
    const { tally } = this;
    const resuming = this.resumes;
    const path = `${this.path}/messages${resuming ? `?after=${encodeURIComponent(tally.token ?? 'now')}&limit=${PAGE}` : `?limit=${LAST}`}`;
    const fields = this.#etag ? { 'if-none-match': this.#etag } : {};
    try {
      tally.request(this.heads.get(path, fields), this.clock());
      const response = await fetch(path, { cache: 'no-store', headers: fields });
      const text = await response.text();
      tally.received += answerOctets(response);
      this.body(path, octets(text));
      const wasAway = tally.state === 'away';
      if (response.status === 304) return tally.live(this.clock());
      const answer = JSON.parse(text);
      if (!response.ok) throw new Error(answer.detail ?? answer.title);
      tally.live(this.clock());
      this.#etag = response.headers.get('etag') ?? undefined;
      // The messages of a poll all come out of the log; recovered are those of the first one that got through again.
      for (const message of answer.messages) this.heard(message, wasAway);
      if (resuming) {
        tally.begins(answer.next, answer.recovered);
        tally.token = answer.next;
      }
      return answer.more;
    } catch (error) {
      tally.lost(error.message, this.clock());
      return false;
    }
  }
}

/** The browser's own EventSource, which comes back by itself and says `Last-Event-ID`. */
export class Events extends Way {
  start() {
    const path = `${this.path}/events${this.after}`;
    const source = new EventSource(path);
    let open = false;
    let again = false;
    // EventSource tells of a request only when it was answered or has failed.
    const asked = () => {
      this.tally.request(this.heads.events(path, again ? this.tally.token : undefined), this.clock());
      again = true;
    };
    const parsed = (handle) => (event) => {
      this.#count(path, event);
      handle(JSON.parse(event.data));
    };
    source.onopen = () => {
      asked();
      open = true;
      this.tally.received += this.heads.eventsAnswer();
      this.tally.live(this.clock());
    };
    source.addEventListener('subscribed', parsed(({ position, recovered }) => this.tally.begins(position, recovered)));
    source.addEventListener('message', parsed((message) => this.heard(message)));
    source.addEventListener('problem', parsed((problem) => this.tally.lost(problem.detail ?? problem.title, this.clock())));
    source.onerror = () => {
      if (!open) asked();
      open = false;
      this.tally.lost('the stream ended', this.clock());
      // Without a token, or after an answer that is no stream, a new one takes its place.
      if (this.resumes && source.readyState !== EventSource.CLOSED) return;
      source.close();
      setTimeout(() => this.start(), backOff(2));
    };
  }

  #count(path, { type, data, lastEventId }) {
    const named = type === 'message' ? '' : `event: ${type}\n`;
    // An event without an id of its own shows the one before.
    const numbered = lastEventId && this.tally.token !== lastEventId ? `id: ${lastEventId}\n` : '';
    this.body(path, octets(`${named}${numbered}data: ${data}\n\n`));
  }
}

/** A WebSocket class that tells `way.tally` what crosses it. */
function counting(way) {
  return class extends WebSocket {
    constructor(url, protocols = []) {
      super(url, protocols);
      const { tally, heads, clock } = way;
      const [path, protocol] = [url.slice(location.origin.replace(/^http/, 'ws').length), [protocols].flat()[0]];
      tally.request(heads.upgrade(path, location.origin, protocol), clock());
      this.addEventListener('open', () => { tally.received += heads.switching(protocol); });
      this.addEventListener('message', ({ data }) => { tally.received += frameOctets(octets(data), false); });
    }

    send(data) {
      way.tally.sent += frameOctets(octets(data), true);
      super.send(data);
    }
  };
}

/** JSON texts over a WebSocket, without STOMP. */
export class Socket extends Way {
  #attempt = 0;

  start() {
    const Counted = counting(this);
    const socket = new Counted(`${location.origin.replace(/^http/, 'ws')}${this.path}/socket${this.after}`);
    socket.onmessage = ({ data }) => this.#told(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      const { retry, why } = advice(code);
      this.tally.lost(reason || why, this.clock(), retry ? 'away' : 'ended');
      if (retry) setTimeout(() => this.start(), pause(code, ++this.#attempt));
    };
  }

  #told(what) {
    switch (what.type) {
      case 'subscribed':
        this.#attempt = 0;
        this.tally.live(this.clock());
        return this.tally.begins(what.position, what.recovered);
      case 'message': return this.heard(what);
      case 'problem':
        this.tally.why = what.problem.detail ?? what.problem.title;
        return undefined;
      default: return undefined; // what later versions may add
    }
  }
}

/** STOMP over WebSocket, by the client of the chat page. */
export class Stomp extends Way {
  #client;

  start() {
    this.#client = new Client(`${location.origin.replace(/^http/, 'ws')}/ws`, {
      WebSocket: counting(this),
      onState: ({ name, why = '' }) => {
        if (name === 'away' || name === 'ended') this.tally.lost(why, this.clock(), name);
      },
      onConnect: () => this.#subscribe(),
    });
    this.#client.open();
  }

  async #subscribe() {
    const from = this.resumes ? this.tally.token : undefined;
    this.tally.live(this.clock());
    const heard = ({ headers }) => this.heard({
      id: headers['message-id'], idempotency_key: headers['x-idempotency-key'], replayed: headers['x-replayed'] === 'true',
    });
    const { receipt } = this.#client.subscribe(`/topic/${this.room}`, heard, { 'x-from': from });
    try {
      const { headers } = await receipt;
      const recovered = headers['x-recovered'];
      this.tally.begins(headers['x-position'], recovered === undefined ? undefined : recovered === 'true');
    } catch (error) {
      this.tally.why = error.message;
    }
  }
}
