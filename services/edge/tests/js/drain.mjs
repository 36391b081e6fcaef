// The program of deploy/clients.md, and the client of the edge's own page, many times over, while their edge is replaced:
//   node drain.mjs '{"page": "…/clients.md", "edges": [{"listen": "127.0.0.1:1", "admin": "127.0.0.1:2"}, …], "clients": 12}'
// Says {"at": "live"} when all have joined, {"at": "answered"} when all is stored and seen, then "passed" or "failed". The
// driver (tests/drain_stompjs.rs) replaces the first edge between "live" and a line of its own.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@stomp/stompjs';
import WebSocket from 'ws';
import { Outbox, Shown } from '../../page/outbox.js';
import { Client as PagesClient } from '../../page/stomp.js';

const { page: documentation, edges, clients } = JSON.parse(process.argv[2]);
const EVERY_MS = 40;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (at, more = {}) => process.stdout.write(`${JSON.stringify({ at, ...more })}\n`);

/** Sends each connection to the first edge that is ready, as a load balancer does. */
async function balancer() {
  const isReady = ({ admin }) => fetch(`http://${admin}/readyz`).then(({ ok }) => ok, () => false);
  const server = createServer(async (client) => {
    client.on('error', () => {});
    for (const edge of edges) {
      if (!await isReady(edge)) continue;
      const [host, port] = edge.listen.split(':');
      const up = connect({ host, port }, () => client.pipe(up).pipe(client));
      up.on('error', () => client.destroy());
      client.on('close', () => up.destroy());
      up.on('close', () => client.destroy());
      return;
    }
    client.destroy();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return `ws://127.0.0.1:${server.address().port}/ws`;
}

/** One browser's worth of it: what the page says, and what its reader sees. */
function program(text, BROKER, onClose) {
  const shown = [];
  let gaps = 0;
  class Watched extends Client {
    constructor(settings) {
      const { onWebSocketClose } = settings;
      super({ ...settings, onWebSocketClose: (close) => { onClose(close.code); onWebSocketClose(close); } });
    }
  }
  const make = new Function('Client', 'BROKER', 'show', 'gap', `${text}
    return { open, say, joined: () => position !== undefined, waiting: () => unanswered.size };`);
  const it = make(Watched, BROKER, (body) => shown.push(body), () => { gaps += 1; });
  return { ...it, shown, gaps: () => gaps };
}

/** The same by the page's own client. */
function page(url, onAway) {
  const shown = [];
  const seen = new Shown();
  let position;
  let gaps = 0;
  const client = new PagesClient(url, {
    WebSocket,
    headers: { 'x-errors': 'soft' },
    onState: ({ name, why }) => name === 'away' && onAway(why),
    onConnect: () => join().finally(() => outbox.flush()),
  });
  const outbox = new Outbox({ send: (...frame) => client.send(...frame), changed: () => {} });
  const heard = ({ headers, text }) => {
    position = headers['message-id'];
    if (seen.isNew(position, headers['x-idempotency-key'])) shown.push(text);
  };
  async function join() {
    const { receipt } = client.subscribe('/topic/lobby', heard, position ? { 'x-from': position } : {});
    const { headers } = await receipt;
    if (headers['x-recovered'] === 'false') gaps += 1;
    position ??= headers['x-position'];
  }
  return {
    open: () => client.open(), say: (body) => outbox.add('lobby', 'page', body), joined: () => position !== undefined,
    waiting: () => outbox.open('lobby').length, shown, gaps: () => gaps,
  };
}

async function until(what, done) {
  const end = Date.now() + 60_000;
  while (!done()) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await sleep(10);
  }
}

try {
  globalThis.WebSocket = WebSocket;
  const [, written] = readFileSync(documentation, 'utf8').match(/## stomp\.js across a restart\n[^]*?```js\n([^]*?)```/);
  const text = written.replace(/^import .*\n/, '');
  assert(text.length < written.length && text.includes('/session/notices'));
  // A third of them do not listen to notices: they are closed, and come back after a pause.
  const deaf = text.replace(/client\.subscribe\('\/session\/notices'[^]*?\n {6}\}\);\n/, '');
  assert(!deaf.includes('/session/notices'));
  const url = await balancer();
  const [told, closed, away] = [[], [], []];
  const kinds = [
    () => program(text, url, (code) => told.push(code)),
    () => program(deaf, url, (code) => closed.push(code)),
    () => page(url, (why) => away.push(why)),
  ];
  const all = Array.from({ length: clients }, (_, at) => kinds[at % 3]());
  for (const it of all) it.open();
  await until('all have joined', () => all.every((it) => it.joined()));

  const said = [];
  const speaking = setInterval(() => {
    const body = `${said.length}`;
    said.push(body);
    all[said.length % clients].say(body);
  }, EVERY_MS);
  await sleep(1_000);
  say('live');
  await lines.next(); // the first edge has gone
  await until('the deaf are back', () => all.every((it) => it.waiting() < 20));
  await sleep(1_000);
  clearInterval(speaking);
  await until('all is stored', () => all.every((it) => it.waiting() === 0));
  await until('all is seen', () => all.every((it) => it.shown.length >= said.length));
  await sleep(500); // for what should not come

  for (const it of all) {
    assert.deepEqual(it.shown, all[0].shown, 'one order');
    assert.equal(it.gaps(), 0);
  }
  assert.deepEqual([...all[0].shown].sort(), [...said].sort(), 'nothing is lost, and nothing comes twice');
  assert(told.length === clients / 3 && told.every((code) => code === 1000 || code === 1005), `who was told had gone before: ${told}`);
  assert.deepEqual(closed, Array(clients / 3).fill(1012));
  assert.deepEqual(away, [], 'no reader of the page has seen it away');
  say('passed', { said: said.length });
} catch (error) {
  say('failed', { why: error.stack });
}
process.exit();
