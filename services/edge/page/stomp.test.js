// node --test: the reconnecting client on a WebSocket and a clock of our own.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Clock } from './clock.test-kit.js';
import { Client, StompError, advice, backOff, pause } from './stomp.js';
import { Socket, sockets } from './socket.test-kit.js';

let clock;

beforeEach(() => {
  sockets.splice(0);
  clock = new Clock().install();
  Math.random = () => 0.9;
});

function start(options = {}) {
  const states = [];
  const client = new Client('ws://edge.test:8080/ws', { WebSocket: Socket, onState: (state) => states.push(state), ...options });
  client.open();
  return { client, states, names: () => states.map((state) => state.name) };
}

const last = (list) => list.at(-1);
const outcomeOf = (promise) => promise.then(() => 'receipt', (error) => error.outcome);

test('V06 W02 B01 CONNECT as STOMP 1.2 wants it; live at CONNECTED', () => {
  let greeted;
  const { client, names } = start({ headers: { Authorization: 'Bearer a:b' }, onConnect: (frame) => { greeted = frame; } });
  assert.deepEqual(sockets[0].protocols, ['v12.stomp']);
  sockets[0].onopen({});
  const { command, headers } = sockets[0].frames[0];
  assert.equal(command, 'CONNECT');
  assert.deepEqual({ ...headers }, { 'accept-version': '1.2', host: 'edge.test', 'heart-beat': '10000,10000', Authorization: 'Bearer a:b' });
  assert.equal(client.live, false);
  sockets[0].says('CONNECTED', { version: '1.2' });
  assert.equal(client.live, true);
  assert.equal(greeted.headers.version, '1.2');
  assert.deepEqual(names(), ['connecting', 'live']);
});

test('R01 a RECEIPT settles its SEND and no other', async () => {
  const { client } = start();
  sockets[0].welcome();
  const one = client.send('/topic/a', 'one');
  const two = client.send('/topic/a', 'two', { 'x-idempotency-key': 'k' });
  const [, first, second] = sockets[0].frames;
  assert.notEqual(first.headers.receipt, second.headers.receipt);
  assert.equal(second.headers['x-idempotency-key'], 'k');
  assert.equal(second.text, 'two');
  sockets[0].says('RECEIPT', { 'receipt-id': second.headers.receipt, 'message-id': '1-2-abcdef01' });
  assert.equal((await two).headers['message-id'], '1-2-abcdef01');
  sockets[0].ends(1006);
  assert.equal(await outcomeOf(one), 'unknown');
});

test('E02 an ERROR with receipt-id refuses that SEND; the others are unknown once the connection ends', async () => {
  const { client, names } = start();
  sockets[0].welcome();
  const refused = client.send('/topic/a', 'one');
  const other = client.send('/topic/a', 'two');
  sockets[0].says('ERROR', { message: 'no', 'x-error-code': '403', 'receipt-id': sockets[0].frames[1].headers.receipt });
  const error = await refused.catch((reason) => reason);
  assert.ok(error instanceof StompError);
  assert.deepEqual([error.outcome, error.code, error.message, error.retryAfter], ['refused', '403', 'no', undefined]);
  sockets[0].ends(1008);
  assert.equal(await outcomeOf(other), 'unknown');
  assert.equal(last(names()), 'ended');
});

test('E02 soft errors: a MESSAGE refuses the SEND that it names, and the session lives', async () => {
  const { client } = start({ headers: { 'x-errors': 'soft' } });
  sockets[0].welcome();
  const { id, receipt } = client.subscribe('/user/queue/errors', (frame) => client.refuse(frame));
  receipt.catch(() => {});
  const sent = client.send('/topic/a', 'one');
  const named = { subscription: id, 'receipt-id': last(sockets[0].frames).headers.receipt };
  sockets[0].says('MESSAGE', { ...named, 'x-error': 'rate_limited', 'x-error-code': '429', 'retry-after': '2' }, 'too fast');
  const error = await sent.catch((reason) => reason);
  assert.deepEqual([error.outcome, error.message, error.retryAfter], ['refused', 'too fast', 2]);
  assert.equal(client.live, true);
});

test('an ERROR about an unknown outcome says so', async () => {
  const { client } = start();
  sockets[0].welcome();
  const sent = outcomeOf(client.send('/topic/a', 'one'));
  sockets[0].says('ERROR', { message: 'unknown', 'x-error': 'send_unknown', 'receipt-id': last(sockets[0].frames).headers.receipt });
  assert.equal(await sent, 'unknown');
});

test('B06 a missed heart-beat closes with 1002, and the client comes back all the same', () => {
  const { names } = start();
  sockets[0].welcome();
  sockets[0].says('ERROR', { message: 'no heart-beat', 'x-error': 'heart_beat_lost', 'x-error-code': '400' });
  sockets[0].ends(1002);
  assert.equal(last(names()), 'away');
});

test('a SEND without connection is unsent, and one without RECEIPT unknown after 20 s', async () => {
  const { client } = start();
  assert.equal(await outcomeOf(client.send('/topic/a', 'x')), 'unsent');
  sockets[0].welcome();
  const sent = outcomeOf(client.send('/topic/a', 'x'));
  clock.tick(20_000);
  assert.equal(await sent, 'unknown');
});

test('MESSAGEs go to their subscription, and to nobody after UNSUBSCRIBE or on the next connection', () => {
  const { client } = start();
  sockets[0].welcome();
  const got = [];
  const a = client.subscribe('/topic/a', (frame) => got.push(`a ${frame.text}`), { 'x-history': '5' });
  const b = client.subscribe('/topic/b', (frame) => got.push(`b ${frame.text}`));
  a.receipt.catch(() => {});
  b.receipt.catch(() => {});
  assert.equal(sockets[0].frames[1].headers['x-history'], '5');
  sockets[0].says('MESSAGE', { subscription: b.id }, 'one');
  sockets[0].says('MESSAGE', { subscription: a.id }, 'two');
  client.unsubscribe(a.id);
  assert.equal(last(sockets[0].frames).command, 'UNSUBSCRIBE');
  sockets[0].says('MESSAGE', { subscription: a.id }, 'late');
  sockets[0].ends(1006);
  client.open();
  sockets[1].welcome();
  sockets[1].says('MESSAGE', { subscription: b.id }, 'old');
  assert.deepEqual(got, ['b one', 'a two']);
});

test('it comes back by itself, at once when asked, and greets again', () => {
  let greetings = 0;
  const { client, states } = start({ onConnect: () => { greetings += 1; } });
  sockets[0].welcome();
  sockets[0].ends(1006);
  assert.equal(last(states).name, 'away');
  assert.ok(last(states).retryAt - Date.now() <= 1000);
  clock.tick(1000);
  assert.equal(sockets.length, 2);
  sockets[1].ends(1006);
  client.open();
  assert.equal(sockets.length, 3);
  clock.tick(9_999);
  assert.equal(sockets.length, 3, 'the retry that was planned does not fire beside it');
  clock.tick(1);
  assert.ok(sockets[2].closed, 'no CONNECTED in 10 s');
  assert.equal(last(states).name, 'away');
  clock.tick(4_000);
  sockets[3].welcome();
  assert.equal(greetings, 2);
});

test('events of a connection that was given up change nothing', () => {
  const { client, names } = start();
  sockets[0].welcome('10000,10000');
  clock.tick(22_500);
  assert.equal(last(names()), 'away');
  client.open();
  sockets[1].welcome();
  sockets[0].says('ERROR', { message: 'late' });
  sockets[0].ends(4502);
  assert.equal(client.live, true);
});

test('the back-off has full jitter, up to 1 s at first and 30 s later', () => {
  assert.equal(backOff(1, () => 0), 0);
  assert.deepEqual([1, 2, 3, 6, 7, 50].map((attempt) => backOff(attempt, () => 1)), [1000, 2000, 4000, 30_000, 30_000, 30_000]);
});

test('Q16 W19 after a restart the first retry is spread over 5 s, and the next ones as ever', () => {
  for (const code of [1001, 1012]) assert.deepEqual([0, 1].map((drawn) => pause(code, 1, () => drawn)), [0, 5000]);
  assert.deepEqual([pause(1012, 2, () => 1), pause(1006, 1, () => 1), pause(1013, 1, () => 1)], [2000, 1000, 1000]);
  const { states } = start();
  sockets[0].welcome();
  sockets[0].ends(1012);
  assert.equal(last(states).retryAt - Date.now(), 0.9 * 5000);
});

test('close codes: 4000–4499 come back, 4500–4999 do not, and the reason is told (stomp.md §7)', () => {
  for (const code of [1001, 1006, 1009, 1011, 1012, 1013, 4000, 4001, 4002, 4003, 4004, 4499]) assert.ok(advice(code).retry, code);
  for (const code of [1002, 1008, 4500, 4501, 4502, 4503, 4999]) assert.ok(!advice(code).retry, code);
  for (const [code, name] of [[4001, 'away'], [4499, 'away'], [4500, 'ended'], [4502, 'ended'], [4999, 'ended']]) {
    const { states } = start();
    last(sockets).welcome();
    last(sockets).ends(code);
    assert.deepEqual([code, last(states).name, last(states).why], [code, name, advice(code).why]);
  }
  clock.tick(1_000);
  assert.equal(sockets.filter((socket) => !socket.frames.length).length, 2, 'only the two that may come back did');
});

test('retry-after of the ERROR is waited for', () => {
  const { states } = start();
  sockets[0].welcome();
  sockets[0].says('ERROR', { message: 'too many', 'x-error-code': '429', 'retry-after': '7' });
  sockets[0].ends(1008);
  assert.equal(last(states).name, 'away');
  assert.equal(last(states).why, 'too many');
  assert.ok(last(states).retryAt - Date.now() >= 7000);
});

test('B02 B03 B07 beats as agreed, a little early; silence of more than two intervals ends the connection', () => {
  const { client, names } = start();
  sockets[0].welcome('15000,12000'); // the server sends every 15 s and wants one every 12 s
  clock.tick(12_000);
  assert.equal(sockets[0].beats, 1);
  clock.tick(12_000);
  sockets[0].onmessage({ data: '\n' });
  clock.tick(30_000);
  assert.equal(client.live, true);
  clock.tick(2_500);
  assert.equal(client.live, false);
  assert.ok(sockets[0].closed);
  assert.equal(last(names()), 'away');
});

test('B03 no beats where the server wants and promises none', () => {
  const { client } = start();
  sockets[0].welcome('0,0');
  clock.tick(600_000);
  assert.equal(sockets[0].beats, 0);
  assert.equal(client.live, true);
});

test('what is not STOMP ends the connection, and it comes back', () => {
  const { states } = start();
  sockets[0].welcome();
  sockets[0].onmessage({ data: 'NONSENSE\n\n\0' });
  assert.equal(last(states).name, 'away');
  assert.match(last(states).why, /unknown command NONSENSE/);
});

test('close() says DISCONNECT and stays away', () => {
  const { client, names } = start();
  sockets[0].welcome();
  client.close();
  assert.equal(last(sockets[0].frames).command, 'DISCONNECT');
  clock.tick(60_000);
  assert.equal(sockets.length, 1);
  assert.equal(last(names()), 'ended');
});
