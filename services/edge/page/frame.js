// STOMP 1.2 frames as octets: escaping, content-length, and a decoder that does not care how the bytes are cut.

const LF = 10, CR = 13, NUL = 0;
const ESCAPES = { '\\': '\\\\', '\r': '\\r', '\n': '\\n', ':': '\\c' };
const UNESCAPES = { '\\': '\\', r: '\r', n: '\n', c: ':' };
// Older than escaping, and sent before a version is agreed: never escaped (STOMP 1.2, "Value Encoding").
const UNESCAPED_FRAMES = new Set(['CONNECT', 'STOMP', 'CONNECTED']);

const utf8 = new TextEncoder();
const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenientText = new TextDecoder('utf-8', { ignoreBOM: true });

/** One frame: `headers` is an object without prototype (the first of repeated headers), `body` are octets. */
export class Frame {
  constructor(command, headers, body) {
    this.command = command;
    this.headers = headers;
    this.body = body;
  }

  /** The body as UTF-8 text. */
  get text() {
    return lenientText.decode(this.body);
  }
}

/** Why a frame had no RECEIPT. `outcome`: `unsent` | `refused` (has no effect) | `unknown` (may have had). */
export class StompError extends Error {
  constructor(message, { outcome, code, retryAfter } = {}) {
    super(message);
    this.outcome = outcome;
    this.code = code;
    this.retryAfter = retryAfter; // seconds
  }
}

export const escape = (text) => text.replace(/[\\\r\n:]/g, (char) => ESCAPES[char]);

/** One pass from left to right, so that `\\n` is a backslash and an n. Throws on any other sequence. */
export const unescape = (text) => text.replace(/\\([^]?)/g, (sequence, char) => {
  if (!Object.hasOwn(UNESCAPES, char)) throw new StompError(`undefined escape sequence ${sequence}`);
  return UNESCAPES[char];
});

/** A frame for the wire: a string if the body is one, otherwise octets. Headers that are undefined are left out. */
export function encode(command, headers = {}, body = '') {
  const plain = UNESCAPED_FRAMES.has(command);
  const octets = typeof body === 'string' ? utf8.encode(body).length : body.length;
  let head = `${command}\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name === 'content-length') continue;
    const line = plain ? `${name}:${value}` : `${escape(name)}:${escape(String(value))}`;
    if (/[\0\r\n]/.test(line)) throw new StompError(`header ${JSON.stringify(name)} cannot be expressed`);
    head += `${line}\n`;
  }
  if (command === 'SEND' || octets > 0) head += `content-length:${octets}\n`;
  if (typeof body === 'string') return `${head}\n${body}\0`;
  return joined(utf8.encode(`${head}\n`), body, Uint8Array.of(NUL));
}

/** Frames out of octets, whatever the cut. Throws a StompError on what is not STOMP; the connection is then useless. */
export class Decoder {
  #rest = new Uint8Array(0);
  #limit;

  constructor({ limit = 1 << 20 } = {}) {
    this.#limit = limit;
  }

  /** Takes a text or the next octets; returns the frames completed by them, in order. */
  push(chunk) {
    const octets = typeof chunk === 'string' ? utf8.encode(chunk) : new Uint8Array(chunk);
    const bytes = this.#rest.length ? joined(this.#rest, octets) : octets;
    const frames = [];
    let at = 0;
    for (;;) {
      at = afterEols(bytes, at);
      const found = parse(bytes, at, this.#limit);
      if (!found) break;
      frames.push(found.frame);
      at = found.end;
    }
    this.#rest = bytes.subarray(at);
    if (this.#rest.length > this.#limit) throw new StompError('frame too large');
    return frames;
  }
}

function afterEols(bytes, at) {
  while (bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] === LF)) at += bytes[at] === LF ? 1 : 2;
  return at;
}

function parse(bytes, start, limit) {
  const lines = [];
  let at = start;
  for (;;) {
    const lf = bytes.indexOf(LF, at);
    const nul = bytes.indexOf(NUL, at);
    if (nul >= 0 && (lf < 0 || nul < lf)) throw new StompError('frame ends inside its headers');
    if (lf < 0) return null;
    const end = lf > at && bytes[lf - 1] === CR ? lf - 1 : lf;
    if (end === at && lines.length) {
      at = lf + 1;
      break;
    }
    lines.push(headText(bytes.subarray(at, end)));
    at = lf + 1;
  }
  const [command, ...rest] = lines;
  const headers = parseHeaders(command, rest);
  const length = headers['content-length'];
  if (length === undefined) {
    const nul = bytes.indexOf(NUL, at);
    return nul < 0 ? null : { frame: new Frame(command, headers, bytes.slice(at, nul)), end: nul + 1 };
  }
  if (!/^\d{1,15}$/.test(length) || Number(length) > limit) throw new StompError(`bad content-length ${length}`);
  const nul = at + Number(length);
  if (nul >= bytes.length) return null;
  if (bytes[nul] !== NUL) throw new StompError('content-length does not end at NUL');
  return { frame: new Frame(command, headers, bytes.slice(at, nul)), end: nul + 1 };
}

function parseHeaders(command, lines) {
  const decode = UNESCAPED_FRAMES.has(command) ? (text) => text : unescape;
  const headers = Object.create(null);
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1) throw new StompError(`bad header line ${JSON.stringify(line)}`);
    const name = decode(line.slice(0, colon));
    if (!(name in headers)) headers[name] = decode(line.slice(colon + 1));
  }
  return headers;
}

function headText(bytes) {
  try {
    return strictText.decode(bytes);
  } catch {
    throw new StompError('headers are not UTF-8');
  }
}

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
