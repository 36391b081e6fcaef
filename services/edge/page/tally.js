// What one way into the room has cost and brought: plain counting, given times, without DOM and network.

const MINUTE_MS = 60_000;
const KEPT = 5_000; // messages whose places are remembered, to know what comes twice
const SETTLED_MS = 3_000; // a message stored for so long and overtaken by a later one has been missed
const GIVEN_UP_MS = 300_000;
const FINE = Math.log(1.02); // p50 is told to within a hundredth

/** The offset in a message-id or a token of one room, which lies in one partition. */
export function placeOf(id) {
  const [, offset] = /^\d+-(-?\d+)-[0-9a-f]{8}$/.exec(id) ?? [];
  return offset === undefined ? undefined : Number(offset);
}

/** Half of the values were at most this, over any number of them. */
export class Median {
  #counts = new Map();
  #total = 0;

  add(value) {
    const bucket = Math.round(Math.log(Math.max(value, 0.01)) / FINE);
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
    this.#total += 1;
  }

  /** Undefined while there is none. */
  get value() {
    let below = 0;
    for (const bucket of [...this.#counts.keys()].sort((one, other) => one - other)) {
      below += this.#counts.get(bucket);
      if (below * 2 >= this.#total) return Math.exp(bucket * FINE);
    }
    return undefined;
  }
}

/** One way's counters, and what its drawing needs of the last minute. Times are those of one clock, in ms. */
export class Tally {
  requests = 0;
  sent = 0; // octets
  received = 0; // octets
  messages = 0;
  latest; // latency in ms
  median = new Median();
  reconnects = 0;
  recovered = 0;
  missed = 0;
  twice = 0;
  /** `connecting` | `live` | `away` | `ended`; `why` says more. */
  state = 'connecting';
  why = '';
  /** Where to go on: the last message-id, or the position that was told. */
  token;
  /** `{ at, latency, kind: 'live' | 'recovered' }`, `{ at, kind: 'missed' }`: the last minute's, by time. */
  dots = [];
  asked = []; // times of requests
  gaps = []; // `{ from, to }` without a connection; `to` is open while it lasts
  #seen = new Set();
  #from; // the place it began behind
  #upTo; // the last place it has got

  request(octets, now) {
    this.requests += 1;
    this.sent += octets;
    this.asked.push(now);
  }

  /** The connection stands; a request was answered. */
  live(now) {
    const gap = this.gaps.at(-1);
    if (gap && gap.to === undefined) {
      gap.to = now;
      this.reconnects += 1;
    }
    this.state = 'live';
    this.why = '';
  }

  /** The connection is gone, or a request failed. */
  lost(why, now, state = 'away') {
    if (this.state === 'live') this.gaps.push({ from: now, to: undefined });
    this.state = state;
    this.why = why;
  }

  /** The edge has said where the room stands. `recovered`: undefined unless a token was shown. */
  begins(position, recovered) {
    const place = placeOf(position ?? '');
    if (place === undefined) return;
    this.#from ??= place;
    // With a replay under way its own messages move the token.
    if (recovered !== true) {
      this.token = position;
      this.#upTo = Math.max(this.#upTo ?? place, place);
    }
    if (recovered === false) this.why = 'the log no longer holds what it missed';
  }

  /** A message of the room. `said`: when, if this page said it. False if it had come before. */
  message({ id, said, replayed }, now) {
    const place = placeOf(id);
    if (place === undefined) return false;
    this.token = id;
    if (this.#seen.has(place)) {
      this.twice += 1;
      return false;
    }
    this.#seen.add(place);
    if (this.#seen.size > KEPT) this.#seen.delete(this.#seen.values().next().value);
    this.messages += 1;
    this.#from ??= place - 1;
    this.#upTo = Math.max(this.#upTo ?? place, place);
    const recovered = replayed && this.reconnects > 0;
    if (recovered) this.recovered += 1;
    if (said === undefined) return true;
    this.latest = Math.max(0, now - said);
    this.median.add(this.latest);
    this.dots.push({ at: now, latency: this.latest, kind: recovered ? 'recovered' : 'live' });
    return true;
  }

  /** Is a message at this place there, or never to come? `missed` only if a later one was there first. */
  judge(place) {
    if (this.#from === undefined || place <= this.#from || this.#seen.has(place)) return 'fine';
    return this.#upTo > place ? 'missed' : 'open';
  }

  miss(said) {
    this.missed += 1;
    this.dots.push({ at: said, kind: 'missed' });
    this.dots.sort((one, other) => one.at - other.at);
  }

  /** Forgets what is older than the minute that is drawn. */
  forget(now) {
    const recent = (at) => at >= now - MINUTE_MS;
    this.dots = this.dots.filter(({ at }) => recent(at));
    this.asked = this.asked.filter(recent);
    this.gaps = this.gaps.filter(({ to }) => to === undefined || recent(to));
  }
}

/** What this page has stored, against which every way is judged: a message that one has jumped over is missed. */
export class Ledger {
  #stored = new Map();

  add(id, said, now) {
    const place = placeOf(id);
    if (place !== undefined && !this.#stored.has(place)) this.#stored.set(place, { said, since: now, open: undefined });
  }

  judge(tallies, now) {
    for (const [place, entry] of this.#stored) {
      if (now - entry.since < SETTLED_MS) continue;
      entry.open = (entry.open ?? tallies).filter((tally) => {
        const verdict = tally.judge(place);
        if (verdict === 'missed') tally.miss(entry.said);
        return verdict === 'open';
      });
      if (!entry.open.length || now - entry.since > GIVEN_UP_MS) this.#stored.delete(place);
    }
  }
}
