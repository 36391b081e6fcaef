// What every client of a room without STOMP goes through, steered by tests/rooms_clients.rs: it listens, is asked what it has
// heard, loses its connection and its edge in between, is refused, and leaves.

import { strict as assert } from 'node:assert';
import { createInterface } from 'node:readline';

/** Above what a busy machine with two cores needs for any single step. */
const PATIENCE_MS = 30_000;

const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Tells the driver where the client is; its answer. */
export async function driver(at, more = {}) {
  console.log(JSON.stringify({ at, ...more }));
  const { value, done } = await commands.next();
  if (done) throw new Error(`the driver has gone at "${at}"`);
  return JSON.parse(value);
}

/** What one client is told, in order, each thing taken once. */
export class Heard {
  #untaken = [];
  #looks = [];

  tell = (kind, value) => {
    this.#untaken.push({ kind, value });
    this.#looks.splice(0).forEach((look) => look());
  };

  /** The first thing of this kind that has not been taken; waits for it. */
  async take(kind) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const at = this.#untaken.findIndex((told) => told.kind === kind);
      if (at >= 0) return this.#untaken.splice(at, 1)[0].value;
      const left = deadline - Date.now();
      assert(left > 0, `no ${kind} within ${PATIENCE_MS} ms; untaken: ${JSON.stringify(this.#untaken)}`);
      await new Promise((done) => {
        const timer = setTimeout(done, left);
        this.#looks.push(() => { clearTimeout(timer); done(); });
      });
    }
  }

  /** How many things of this kind wait to be taken. */
  left(kind) {
    return this.#untaken.filter((told) => told.kind === kind).length;
  }
}

/** What the driver compares: the place, what was said, and what the client takes for the id to go on from. */
const told = ({ id, body, body_base64: base64, replayed = false }, token = id) => ({ id, body, base64, replayed, token });

/**
 * `client.open(url, heard)` begins to listen: `heard.tell('subscribed', data)`, `tell('message', [data, token])`; it comes
 * back by itself, or by what its documentation says. It returns `{ close() }`, with `retry()` where the client tells
 * how long it waits. `client.status(url, token)`: the status that it gets to see.
 */
export async function converse(client, { url, guarded, room, other, token }) {
  const heard = new Heard();
  const way = client.way ?? 'events';
  const connection = await client.open(`${url}/rooms/${encodeURIComponent(room)}/${way}`, heard);
  const { room: of, position, recovered } = await heard.take('subscribed');
  assert.equal(of, room);
  assert.match(position, /^\d+-(-1|\d+)-[0-9a-f]{8}$/);
  assert.equal(recovered, undefined, 'nothing was asked for');
  let { expect } = await driver('listening');
  while (expect) {
    const messages = [];
    while (messages.length < expect) messages.push(told(...await heard.take('message')));
    ({ expect } = await driver('heard', { messages }));
  }
  assert.equal(heard.left('message'), 0, 'nothing twice');
  if (client.says) await client.says(connection, heard);
  if (connection.retry) {
    const retry = await connection.retry();
    assert(Number.isInteger(retry) && retry >= 500 && retry <= 30_000, `retry: ${retry}`);
  }
  connection.close();

  const place = (name) => `${guarded}/rooms/${encodeURIComponent(name)}/${way}`;
  assert.equal(await client.status(place(room)), 401, 'without a token');
  assert.equal(await client.status(place(room), `${token}x`), 401, 'with a token that nobody signed');
  assert.equal(await client.status(place(other), token), 403, 'with a token that opens another room');
  const friend = new Heard();
  const open = await client.open(place(room), friend, token);
  assert.equal((await friend.take('subscribed')).room, room, 'with the right token');
  open.close();
}

/** The last line is `{ at: "passed" }` or `{ at: "failed", why }`. */
export async function run(test) {
  const why = await test().then(() => undefined, (error) => error.stack);
  console.log(JSON.stringify(why ? { at: 'failed', why } : { at: 'passed' }));
  process.stdin.destroy();
}
