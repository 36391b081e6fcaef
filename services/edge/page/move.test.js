// node --test: the client at an edge that drains: another connection first, then away from the old one.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Clock } from './clock.test-kit.js';
import { Socket, sockets } from './socket.test-kit.js';
import { Client } from './stomp.js';

let clock;
beforeEach(() => {
  sockets.splice(0);
  clock = new Clock().install();
  Math.random = () => 0.9;
});

const last = (list) => list.at(-1);
const commands = (socket) => socket.frames.map(({ command }) => command);
const outcomeOf = (promise) => promise.then(() => 'receipt', (error) => error.outcome);

/** A client that is live and has a room; it keeps what it hears, and subscribes anew whenever it is connected. */
function start() {
  const heard = [];
  const states = [];
  const client = new Client('ws://edge.test/ws', {
    WebSocket: Socket,
    onState: ({ name }) => states.push(name),
    onConnect: () => client.subscribe('/topic/a', (frame) => heard.push(frame.text)).receipt.catch(() => {}),
  });
  client.open();
  sockets[0].welcome('0,0', { 'drain-notice': '1' });
  return { client, heard, states };
}

/** The SUBSCRIBE of this destination on that socket. */
const idOf = (socket, destination) => socket.frames.find(({ headers }) => headers.destination === destination).headers.id;

function drains(socket, after) {
  socket.says('MESSAGE', {
    subscription: idOf(socket, '/session/notices'), 'message-id': 'notice-1', type: 'drain', 'reconnect-after-ms': after, 'deadline-ms': '9000',
  });
}

test('Q16 it asks to be told where the edge offers it, and only there', () => {
  start();
  assert.deepEqual(commands(sockets[0]), ['CONNECT', 'SUBSCRIBE', 'SUBSCRIBE']);
  const plain = new Client('ws://edge.test/ws', { WebSocket: Socket });
  plain.open();
  sockets[1].welcome();
  assert.deepEqual(commands(sockets[1]), ['CONNECT']);
});

test('Q16 at the time it was told it is connected elsewhere, and then leaves; nothing is heard twice', async () => {
  const { client, heard, states } = start();
  const room = idOf(sockets[0], '/topic/a');
  drains(sockets[0], '3000');
  clock.tick(2_999);
  assert.equal(sockets.length, 1);
  clock.tick(1);
  assert.equal(sockets.length, 2);
  sockets[0].says('MESSAGE', { subscription: room }, 'one');
  const sent = outcomeOf(client.send('/topic/a', 'mine'));
  const { receipt } = last(sockets[0].frames).headers;
  assert.equal(client.live, true, 'it is at work until the other connection is');
  sockets[1].welcome('0,0', { 'drain-notice': '1' });
  assert.equal(last(sockets[0].frames).command, 'DISCONNECT');
  sockets[0].says('MESSAGE', { subscription: room }, 'two, which x-from brings');
  sockets[0].says('RECEIPT', { 'receipt-id': receipt });
  assert.equal(await sent, 'receipt', 'what was sent is answered on the old connection');
  sockets[0].says('RECEIPT', { 'receipt-id': last(sockets[0].frames).headers.receipt });
  sockets[0].ends(1000);
  sockets[1].says('MESSAGE', { subscription: idOf(sockets[1], '/topic/a') }, 'two');
  assert.deepEqual(heard, ['one', 'two']);
  assert.deepEqual(states, ['connecting', 'live', 'live'], 'nobody saw it away');
  clock.tick(60_000);
  assert.equal(sockets.length, 2);
});

test('E02 a soft refusal of what was sent before it moved still finds its SEND', async () => {
  const { client } = start();
  client.subscribe('/user/queue/errors', (frame) => client.refuse(frame)).receipt.catch(() => {});
  const errors = idOf(sockets[0], '/user/queue/errors');
  const sent = outcomeOf(client.send('/topic/a', 'mine'));
  const { receipt } = last(sockets[0].frames).headers;
  drains(sockets[0], '0');
  clock.tick(0);
  sockets[1].welcome();
  sockets[0].says('MESSAGE', { subscription: errors, 'receipt-id': receipt, 'x-error': 'rate_limited', 'x-error-code': '429' });
  assert.equal(await sent, 'refused');
});

test('Q16 refused elsewhere, it stays where it is and tries again; closed meanwhile, it comes back as ever', () => {
  const { client, states } = start();
  drains(sockets[0], '0');
  clock.tick(0);
  sockets[1].ends(1006);
  assert.equal(client.live, true);
  clock.tick(900);
  assert.equal(sockets.length, 3, 'full jitter: 0.9 of the first second');
  sockets[0].ends(1012);
  assert.deepEqual([client.live, last(states)], [false, 'connecting'], 'the attempt under way goes on');
  sockets[2].ends(1006);
  assert.equal(last(states), 'away');
  clock.tick(2_000);
  assert.equal(sockets.length, 4);
  sockets[3].welcome();
  assert.equal(last(states), 'live');
});

test('close() ends whatever is there', () => {
  const { client, states } = start();
  drains(sockets[0], '0');
  clock.tick(0);
  client.close();
  assert.ok(sockets[0].closed && sockets[1].closed);
  clock.tick(60_000);
  assert.deepEqual([sockets.length, last(states)], [2, 'ended']);
});
