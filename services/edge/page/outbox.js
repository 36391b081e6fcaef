// What this reader has written, and how far it has come. No DOM.
//
//   waiting → sent → stored (RECEIPT) → seen (our own MESSAGE came back)
//                ↘ unknown (no answer: sent again after reconnecting)   ↘ failed (refused: the reader decides)
//
// Every attempt of one message carries the same x-idempotency-key, so however often it is sent, the room shows it once.

const MAX_TRIES = 5;
const KEPT = 200; // settled entries, so that a replay of our own messages is known as ours
const STORE = 'klatsch.outbox';

/** A random UUID; `crypto.randomUUID` is missing where the page came over plain HTTP from another machine. */
export function uuid() {
  const octets = crypto.getRandomValues(new Uint8Array(16));
  octets[6] = (octets[6] & 0x0f) | 0x40;
  octets[8] = (octets[8] & 0x3f) | 0x80;
  const hex = Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export class Outbox {
  #send; #changed; #storage; #entries = new Map();

  /**
   * `send(destination, text, headers)` as of stomp.js; `changed(entry)` after every step; `storage` (sessionStorage)
   * lets what is not stored yet survive a reload.
   */
  constructor({ send, changed, storage }) {
    this.#send = send;
    this.#changed = changed;
    this.#storage = storage;
    for (const entry of this.#load()) {
      if (entry.state === 'sent') entry.state = 'unknown';
      this.#entries.set(entry.key, { ...entry, tries: 0 });
    }
  }

  /** The entries of a room that are not known to be stored, oldest first. */
  open(room) {
    return [...this.#entries.values()].filter((entry) => entry.room === room && !isSettled(entry));
  }

  add(room, nickname, text) {
    const entry = { key: uuid(), room, nickname, text, state: 'waiting', tries: 0 };
    this.#entries.set(entry.key, entry);
    this.#attempt(entry);
    return entry;
  }

  /** After every CONNECTED: what waits, or has an unknown outcome, goes out in the order in which it was written. */
  flush() {
    for (const entry of this.#entries.values()) {
      if (entry.state === 'waiting' || (entry.state === 'unknown' && entry.tries < MAX_TRIES)) this.#attempt(entry);
    }
  }

  /** The reader asks for another attempt. */
  again(entry) {
    entry.tries = 0;
    this.#attempt(entry);
  }

  discard(entry) {
    this.#entries.delete(entry.key);
    this.#save();
  }

  /** A MESSAGE has this key: returns the entry if we wrote it. */
  arrived(key, messageId, timestamp) {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    entry.seenAs = messageId;
    this.#settle(entry, timestamp);
    return entry;
  }

  async #attempt(entry) {
    entry.tries += 1;
    entry.why = undefined;
    this.#step(entry, 'sent');
    try {
      const { headers } = await this.#send(`/topic/${entry.room}`, entry.text, {
        'content-type': 'text/plain', 'x-idempotency-key': entry.key, nickname: entry.nickname,
      });
      entry.storedAs = headers['message-id'];
      this.#settle(entry, headers.timestamp);
    } catch (error) {
      if (!isSettled(entry)) this.#failed(entry, error);
    }
  }

  #failed(entry, { message, outcome, retryAfter }) {
    entry.why = message;
    if (outcome === 'unsent') return this.#step(entry, 'waiting');
    if (outcome === 'unknown') return this.#step(entry, 'unknown');
    if (retryAfter === undefined || entry.tries >= MAX_TRIES) return this.#step(entry, 'failed');
    this.#step(entry, 'waiting');
    setTimeout(() => this.flush(), retryAfter * 1000);
  }

  #settle(entry, timestamp) {
    entry.timestamp ??= timestamp;
    // RECEIPT and MESSAGE may come in either order, and must name the same place in the log.
    const seen = entry.seenAs && (!entry.storedAs || entry.storedAs === entry.seenAs);
    this.#step(entry, seen ? 'seen' : 'stored');
  }

  #step(entry, state) {
    entry.state = state;
    this.#save();
    this.#changed(entry);
  }

  #load() {
    try {
      return JSON.parse(this.#storage?.getItem(STORE) ?? '[]');
    } catch {
      return []; // a browser that forbids storage, or somebody else's content
    }
  }

  #save() {
    const settled = [...this.#entries.values()].filter(isSettled);
    for (const { key } of settled.slice(0, -KEPT)) this.#entries.delete(key);
    const saved = [...this.#entries.values()].map((entry) => (isSettled(entry) ? { ...entry, text: '' } : entry));
    try {
      this.#storage?.setItem(STORE, JSON.stringify(saved));
    } catch {
      // Full or forbidden: a reload then forgets what was not stored.
    }
  }
}

const isSettled = (entry) => entry.state === 'stored' || entry.state === 'seen';

/** Remembers the last message-ids and keys, so that nothing is shown twice. */
export class Shown {
  #known = new Set();
  #limit;

  constructor(limit = 10_000) {
    this.#limit = limit;
  }

  /** False if this message-id, or this key, was there before. */
  isNew(messageId, key) {
    const names = key ? [`id ${messageId}`, `key ${key}`] : [`id ${messageId}`];
    const known = names.some((name) => this.#known.has(name));
    for (const name of names) this.#known.add(name);
    for (const oldest of this.#known) {
      if (this.#known.size <= this.#limit) break;
      this.#known.delete(oldest);
    }
    return !known;
  }
}
