// node --test: what the page of the four ways counts (promises 2, 3 and 4 as a reader's arithmetic), and its octets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heads, answerOctets, frameOctets, headOctets, octets } from './octets.js';
import { Ledger, Median, Tally, placeOf } from './tally.js';

const id = (offset) => `3-${offset}-0a1b2c3d`;
const SETTLED = 3_001;

/** A way that has begun behind `offset`. */
function begun(offset = 10) {
  const tally = new Tally();
  tally.live(0);
  tally.begins(id(offset));
  return tally;
}

/** `messages` arrive, at time `now`. */
const arrive = (tally, offsets, now = 0, more = {}) => offsets.map((offset) => tally.message({ id: id(offset), ...more }, now));

function judged(tallies, offsets) {
  const ledger = new Ledger();
  for (const offset of offsets) ledger.add(id(offset), 1, 1);
  ledger.judge(tallies, SETTLED);
  return ledger;
}

test('the place in a message-id, in the position of an empty partition, and in nothing else', () => {
  assert.equal(placeOf('3-17-0a1b2c3d'), 17);
  assert.equal(placeOf('3--1-00000000'), -1);
  for (const none of ['', 'first', '3-17', '3-x-0a1b2c3d', '3-17-0a1b2c3d,4-1-0a1b2c3d']) assert.equal(placeOf(none), undefined);
});

test('p50 is exact to a hundredth, whatever the order', () => {
  const median = new Median();
  assert.equal(median.value, undefined);
  for (let at = 1_001; at >= 1; at -= 1) median.add(at);
  assert.ok(Math.abs(median.value / 501 - 1) < 0.011, `${median.value}`);
  median.add(0);
  assert.ok(median.value > 400);
});

test('p4 a message that comes a second time is counted as such, and not as a message', () => {
  const tally = begun();
  assert.deepEqual(arrive(tally, [11, 12, 11, 12, 13]), [true, true, false, false, true]);
  assert.deepEqual([tally.messages, tally.twice, tally.token], [3, 2, id(13)]);
});

test('latency is told of our own messages only', () => {
  const tally = begun();
  arrive(tally, [11], 500);
  assert.equal(tally.latest, undefined);
  arrive(tally, [12], 500, { said: 480 });
  assert.equal(tally.latest, 20);
  assert.deepEqual(tally.dots, [{ at: 500, latency: 20, kind: 'live' }]);
});

test('p3 missed is what was stored, lies behind the beginning, and was overtaken', () => {
  const tally = begun(10);
  arrive(tally, [11, 14]);
  judged([tally], [9, 10, 11, 12, 13, 14, 15]);
  assert.equal(tally.missed, 2);
  assert.deepEqual(tally.dots.map(({ kind }) => kind), ['missed', 'missed']);
});

test('what was not overtaken yet is judged later, each way by itself and once', () => {
  const [fast, slow] = [begun(), begun()];
  arrive(fast, [11]);
  const ledger = judged([fast, slow], [11, 12]);
  ledger.judge([fast, slow], SETTLED + 1);
  assert.deepEqual([fast.missed, slow.missed], [0, 0]);
  arrive(fast, [12, 13]);
  arrive(slow, [13]);
  for (const now of [SETTLED + 2, SETTLED + 3]) ledger.judge([fast, slow], now);
  assert.deepEqual([fast.missed, slow.missed], [0, 2]);
});

test('a message that has only just been stored is not judged', () => {
  const tally = begun();
  arrive(tally, [13]);
  const ledger = new Ledger();
  ledger.add(id(12), 1, 1_000);
  ledger.judge([tally], 1_000 + SETTLED - 2);
  assert.equal(tally.missed, 0);
  ledger.judge([tally], 1_000 + SETTLED);
  assert.equal(tally.missed, 1);
});

test('p3 who comes back by token recovers, who comes back without misses', () => {
  const [by, without] = [begun(), begun()];
  for (const tally of [by, without]) {
    arrive(tally, [11]);
    tally.lost('cut', 100);
    tally.lost('still cut', 150);
    tally.live(200);
  }
  by.begins(id(13), true);
  arrive(by, [12, 13], 200, { replayed: true });
  without.begins(id(13));
  for (const tally of [by, without]) arrive(tally, [14], 300);
  judged([by, without], [12, 13, 14]);
  assert.deepEqual([by.recovered, by.missed, by.reconnects], [2, 0, 1]);
  assert.deepEqual([without.recovered, without.missed, without.reconnects], [0, 2, 1]);
  assert.deepEqual(by.gaps, [{ from: 100, to: 200 }]);
});

test('p3 recovered:false moves on and says so; what lies between is missed', () => {
  const tally = begun();
  arrive(tally, [11]);
  tally.lost('cut', 100);
  tally.live(200);
  tally.begins(id(20), false);
  judged([tally], [15]);
  assert.deepEqual([tally.missed, tally.token], [1, id(20)]);
  assert.match(tally.why, /no longer holds/);
});

test('a replay on the first connection recovers nothing', () => {
  const tally = begun();
  arrive(tally, [11], 0, { replayed: true });
  assert.equal(tally.recovered, 0);
});

test('a token is not moved over a replay that is still to come', () => {
  const tally = begun();
  arrive(tally, [11]);
  tally.begins(id(20), true);
  assert.equal(tally.token, id(11));
});

test('only the last minute is kept for the drawing, and a gap while it lasts', () => {
  const tally = begun();
  tally.request(10, 0);
  arrive(tally, [11], 0, { said: 0 });
  tally.lost('cut', 1);
  tally.forget(60_002);
  assert.deepEqual([tally.dots, tally.asked, tally.gaps.length], [[], [], 1]);
  assert.deepEqual([tally.requests, tally.sent, tally.messages], [1, 10, 1]);
});

test('octets of frames and heads', () => {
  assert.equal(octets('é한🎉'), 9);
  assert.equal(octets(new ArrayBuffer(7)), 7);
  assert.deepEqual([125, 126, 65_535, 65_536].map((payload) => frameOctets(payload, false) - payload), [2, 4, 4, 10]);
  assert.equal(frameOctets(5, true), 11);
  const head = 'GET / HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n';
  assert.equal(headOctets('GET / HTTP/1.1', { host: 'a', accept: '*/*' }), head.length);
  const answer = { status: 200, statusText: 'OK', headers: new Map([['etag', '"1"']]) };
  assert.equal(answerOctets(answer), 'HTTP/1.1 200 OK\r\netag: "1"\r\n\r\n'.length);
});

test('heads of requests after one that the edge has seen', () => {
  const seen = { host: 'a', accept: '*/*', 'user-agent': 'x' };
  const heads = new Heads(Object.fromEntries(Object.entries(seen).map(([name, value]) => [name, `${name}: ${value}\r\n`.length])));
  assert.equal(heads.get('/p', { 'if-none-match': 'W/"1"' }), headOctets('GET /p HTTP/1.1', { ...seen, 'if-none-match': 'W/"1"' }));
  assert.equal(heads.events('/e', '3-1-0a1b2c3d'),
    headOctets('GET /e HTTP/1.1', { ...seen, accept: 'text/event-stream', 'last-event-id': '3-1-0a1b2c3d' }));
});
