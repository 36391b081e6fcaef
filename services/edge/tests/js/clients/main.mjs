// One client that others wrote, over one transport, against the edge that the driver (tests/clients.rs) keeps:
//   node main.mjs '{"client": "stompjs-7", "transport": "websocket", "url": "ws://…", …}'
// Says where it is as JSON objects, one a line, and waits for a line after each; ends with {"at": "passed"} or "failed".

import { createInterface } from 'node:readline';
import { dialogue, monologue } from './dialogue.mjs';
import { stompjs2, webstompClient } from './older.mjs';
import { rxStomp, stompjs } from './stompjs.mjs';
import { transports } from './transports.mjs';

const SPLIT = { splitLargeFrames: true, maxWebSocketChunkSize: 16 * 1024 };
const REACT_NATIVE = { forceBinaryWSFrames: true, appendMissingNULLonIncoming: true };

const CUT = 'cut at NUL';

/** Each client; then settings of it, and sockets, that change how frames travel. */
const clients = {
  'stompjs-5': [stompjs('stompjs-5'), ...variants('stompjs-5')],
  'stompjs-6': [stompjs('stompjs-6'), ...variants('stompjs-6')],
  'stompjs-7': [stompjs('@stomp/stompjs'), ...variants('@stomp/stompjs')],
  'rx-stomp': [rxStomp],
  'stompjs-2': [stompjs2],
  webstomp: [webstompClient(), { only: 'websocket', adapter: webstompClient({ binary: true }) }],
};

function variants(name) {
  return [
    { only: 'websocket', adapter: stompjs(name, { forceBinaryWSFrames: true }) },
    { only: 'websocket', socket: CUT, adapter: stompjs(name, REACT_NATIVE) },
    { adapter: stompjs(name, SPLIT) },
  ];
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (at, more = {}) => process.stdout.write(`${JSON.stringify({ at, ...more })}\n`);

async function driver(at, more) {
  say(at, more);
  if ((await lines.next()).done) process.exit(1);
}

const test = JSON.parse(process.argv[2]);
process.on('uncaughtException', (error) => say('failed', { why: `uncaught: ${error.stack}` }));
try {
  const [adapter, ...more] = clients[test.client];
  const apt = more.filter(({ only }) => !only || only === test.transport);
  await Promise.all(apt.map(({ adapter: other, socket }, at) =>
    monologue(other, transports[socket ?? test.transport], { ...test, room: `${test.room}-${at}` })));
  await dialogue(adapter, transports[test.transport], test, driver);
  say('passed');
} catch (error) {
  say('failed', { why: error.stack });
}
process.exit();
