// What crosses the wire, in octets of HTTP and WebSocket: a page sees bodies and messages, and reckons the rest from what
// it knows of the heads around them. Neither TCP's nor IP's own octets are counted, nor what no page is shown: pings and
// pongs, and the comments that keep an event stream alive.

const utf8 = new TextEncoder();
const CRLF = 2;

/** Octets of a text as UTF-8, or of a buffer. */
export const octets = (data) => (typeof data === 'string' ? utf8.encode(data).length : data.byteLength ?? data.size ?? 0);

/** Octets of a WebSocket frame with this payload (RFC 6455, 5.2); what clients send is masked. */
export const frameOctets = (payload, masked) => {
  const length = payload > 65_535 ? 8 : payload > 125 ? 2 : 0;
  return 2 + length + (masked ? 4 : 0) + payload;
};

/** Octets of an HTTP/1.1 head: its first line, its fields, the empty line. */
export function headOctets(firstLine, fields) {
  let sum = firstLine.length + CRLF + CRLF;
  for (const [name, value] of Object.entries(fields)) sum += fieldOctets(name, value);
  return sum;
}

const fieldOctets = (name, value) => name.length + ': '.length + octets(String(value)) + CRLF;

/** The head of an answer that a page may read. */
export const answerOctets = ({ status, statusText, headers }) => headOctets(`HTTP/1.1 ${status} ${statusText}`, Object.fromEntries(headers));

// Values of one length stand for those that no page is shown.
const DATE = 'Mon, 23 Nov 2026 09:00:00 GMT';
const KEY = 'x'.repeat(24);
const ACCEPT = 'x'.repeat(28);

/** The heads that this browser writes, after one of its requests as the edge received it. */
export class Heads {
  #fields;

  /** `fields`: octets by field name of a request that was fetched with `cache: 'no-store'`. */
  constructor(fields) {
    this.#fields = fields;
  }

  /** A GET of such a fetch, with more fields. */
  get(path, more = {}) {
    const asUsual = Object.values(this.#fields).reduce((sum, field) => sum + field, 0);
    return headOctets(`GET ${path} HTTP/1.1`, more) + asUsual;
  }

  /** The GET of an EventSource. */
  events(path, lastEventId) {
    const more = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    return this.get(path, more) - this.#of('accept') + fieldOctets('accept', 'text/event-stream');
  }

  /** The answer to it. */
  eventsAnswer() {
    return headOctets('HTTP/1.1 200 OK', {
      'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no', connection: 'close', date: DATE,
    });
  }

  /** The request for a WebSocket. */
  upgrade(path, origin, protocol) {
    const more = {
      connection: 'Upgrade', pragma: 'no-cache', 'cache-control': 'no-cache', upgrade: 'websocket', origin,
      'sec-websocket-version': 13, 'sec-websocket-key': KEY,
      'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
    };
    if (protocol) more['sec-websocket-protocol'] = protocol;
    const asUsual = ['host', 'user-agent', 'accept-encoding', 'accept-language', 'cookie'];
    return headOctets(`GET ${path} HTTP/1.1`, more) + asUsual.reduce((sum, name) => sum + this.#of(name), 0);
  }

  /** The 101. */
  switching(protocol) {
    const fields = { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-accept': ACCEPT, date: DATE };
    if (protocol) fields['sec-websocket-protocol'] = protocol;
    return headOctets('HTTP/1.1 101 Switching Protocols', fields);
  }

  #of(name) {
    return this.#fields[name] ?? 0;
  }
}

/** What the browser has measured of bodies: `heard(url, octets)` after each, 0 where it does not know. */
export function measuring(heard) {
  new PerformanceObserver((list) => {
    for (const { name, encodedBodySize } of list.getEntries()) heard(name, encodedBodySize);
    performance.clearResourceTimings();
  }).observe({ type: 'resource', buffered: true });
}
