// One client in one dialogue: what it tells, in order, each thing taken once.

import { strict as assert } from 'node:assert';

/** Above what a busy machine with two cores needs for any single step. */
const PATIENCE_MS = 30_000;

export class Session {
  #untaken = [];
  #looked = [];

  /** `adapter.open`ed, with these CONNECT headers. */
  static async open(adapter, transport, url, headers = {}) {
    const session = new Session();
    session.adapter = adapter;
    session.hidesCloseCodes = adapter.hidesCloseCodes || transport.hidesCloseCodes;
    session.carriesBinary = Boolean(adapter.carriesBinary && transport.carriesBinary);
    session.client = await adapter.open(transport, url, headers, (kind, value) => session.#tell(kind, value));
    return session;
  }

  #tell(kind, value) {
    this.#untaken.push({ kind, value });
    this.#looked.splice(0).forEach((look) => look());
  }

  /** The first thing of this kind that is wanted and has not been taken; waits for it. */
  async take(kind, wanted = () => true, found = () => {}) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const at = this.#untaken.findIndex((told) => told.kind === kind && wanted(told.value));
      if (at >= 0) {
        const [{ value }] = this.#untaken.splice(at, 1);
        found(at);
        return value;
      }
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no ${kind} within ${PATIENCE_MS} ms (${wanted}); untaken: ${this.left()}`);
      await new Promise((done) => {
        const timer = setTimeout(done, left);
        this.#looked.push(() => { clearTimeout(timer); done(); });
      });
    }
  }

  /** What has not been taken, in short. */
  left() {
    return this.#untaken.map(({ kind, value }) => `${kind} ${JSON.stringify(value.headers ?? value.code ?? {})}`).join(', ');
  }

  /** CONNECTED; attempts to connect that failed before it do not count as an end. */
  connected() {
    return this.take('connected', undefined, (at) => {
      this.#untaken = this.#untaken.filter(({ kind }, index) => index >= at || kind !== 'closed');
    });
  }

  /** The RECEIPT with this id; there is one (R01). */
  receipt(id) {
    return this.take('receipt', ({ headers }) => headers['receipt-id'] === id);
  }

  message() {
    return this.take('message');
  }

  /** How the connection ended; its close code is one of these, where the client tells it. */
  async closed(...codes) {
    const { code } = await this.take('closed');
    if (!this.hidesCloseCodes) assert(codes.includes(code), `closed with ${code}, not ${codes}`);
  }

  /** SUBSCRIBE that is settled: what is stored from now on comes. */
  async subscribe(destination, headers) {
    const subscription = this.client.subscribe(destination, headers);
    const receipt = await this.receipt(headers.receipt);
    assert(receipt.headers['x-position'], 'x-position of the RECEIPT');
    return subscription;
  }

  /** SEND that is stored; its message-id. */
  async send(destination, headers, body) {
    this.client.send(destination, headers, body);
    const { headers: receipt } = await this.receipt(headers.receipt);
    assert.match(receipt['message-id'], /^\d+-\d+-[0-9a-f]{8}$/);
    assert.match(receipt.timestamp, /^\d+$/);
    return receipt['message-id'];
  }
}

/** Is this body exactly that: text or octets? */
export function assertBody(frame, expected, what) {
  const octets = frame.binaryBody ?? frame.body;
  const [got, wanted] = [Buffer.from(octets), Buffer.from(expected)];
  assert(got.equals(wanted), `${what}: ${got.length} octets, not the ${wanted.length} expected: ${got.subarray(0, 80)}`);
  if (typeof expected === 'string') assert(frame.body === expected, `${what} as text`);
}
