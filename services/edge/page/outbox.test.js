// node --test: how far one's own messages have come, and that nothing is shown twice.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { webcrypto } from 'node:crypto';
import { Outbox, Shown, uuid } from './outbox.js';
import { StompError } from './frame.js';
import { Clock } from './clock.test-kit.js';

globalThis.crypto ??= webcrypto; // Node.js 18
const settled = () => new Promise((resolve) => setImmediate(resolve));

let clock, sent, steps, storage;
beforeEach(() => {
  clock = new Clock().install();
  [sent, steps] = [[], []];
  const kept = new Map();
  storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
});

function outbox() {
  return new Outbox({
    send: (destination, text, headers) => new Promise((resolve, reject) => {
      sent.push({ destination, text, headers, key: headers['x-idempotency-key'], resolve, reject });
    }),
    changed: (entry) => steps.push(`${entry.text} ${entry.state}`),
    storage,
  });
}
const receipt = (id) => ({ headers: { 'message-id': id, timestamp: '1700000000000' } });
const error = (outcome, retryAfter) => new StompError('because', { outcome, retryAfter });

test('sent → stored → seen, with the headers that a SEND needs', async () => {
  const box = outbox();
  const entry = box.add('team/blue', 'Ada', 'hello');
  assert.equal(sent[0].destination, '/topic/team/blue');
  assert.deepEqual(sent[0].headers, { 'content-type': 'text/plain', 'x-idempotency-key': entry.key, nickname: 'Ada' });
  sent[0].resolve(receipt('1-2-aa'));
  await settled();
  assert.equal(box.arrived(entry.key, '1-2-aa', '1700000000000'), entry);
  assert.deepEqual(steps, ['hello sent', 'hello stored', 'hello seen']);
  assert.equal(box.arrived('another key', '1-3-aa'), undefined);
});

test('MESSAGE before RECEIPT is seen at once, and stays so', async () => {
  const box = outbox();
  const entry = box.add('a', 'Ada', 'x');
  box.arrived(entry.key, '1-2-aa', '1');
  sent[0].resolve(receipt('1-2-aa'));
  await settled();
  assert.equal(entry.state, 'seen');
});

test('a RECEIPT that names another place than the MESSAGE is not "seen"', async () => {
  const box = outbox();
  const entry = box.add('a', 'Ada', 'x');
  sent[0].resolve(receipt('1-2-aa'));
  await settled();
  box.arrived(entry.key, '1-9-bb', '1');
  assert.equal(entry.state, 'stored');
});

test('written while away: waits, and goes out in order after CONNECTED, once each', async () => {
  const box = outbox();
  for (const text of ['one', 'two', 'three']) box.add('a', 'Ada', text);
  for (const { reject } of sent.splice(0)) reject(error('unsent'));
  await settled();
  assert.deepEqual(steps.slice(-3), ['one waiting', 'two waiting', 'three waiting']);
  box.flush();
  assert.deepEqual(sent.map(({ text }) => text), ['one', 'two', 'three']);
  box.flush();
  assert.equal(sent.length, 3);
});

test('unknown: sent again with the same key, five times at most, then only when the reader asks', async () => {
  const box = outbox();
  const entry = box.add('a', 'Ada', 'x');
  for (let round = 0; round < 8; round += 1) {
    sent.at(-1).reject(error('unknown'));
    await settled();
    assert.equal(entry.state, 'unknown');
    box.flush();
  }
  assert.equal(sent.length, 5);
  box.again(entry);
  assert.equal(sent.length, 6);
  assert.deepEqual(new Set(sent.map(({ key }) => key)), new Set([entry.key]));
});

test('refused: failed with the reason, not sent again by itself; "send again" has the same key', async () => {
  const box = outbox();
  const entry = box.add('a', 'Ada', 'x');
  sent[0].reject(error('refused'));
  await settled();
  box.flush();
  assert.deepEqual([entry.state, entry.why, sent.length], ['failed', 'because', 1]);
  box.again(entry);
  assert.deepEqual([sent.length, sent[1].key], [2, entry.key]);
  sent[1].reject(error('refused'));
  await settled();
  box.discard(entry);
  assert.deepEqual(box.open('a'), []);
});

test('refused for now (retry-after): waits and goes out when the time has come', async () => {
  const box = outbox();
  const entry = box.add('a', 'Ada', 'x');
  sent[0].reject(error('refused', 3));
  await settled();
  assert.equal(entry.state, 'waiting');
  clock.tick(2_999);
  assert.equal(sent.length, 1);
  clock.tick(1);
  assert.equal(sent.length, 2);
});

test('what is not stored survives a reload; what is stored is only recognised as ours', async () => {
  const before = outbox();
  const stored = before.add('a', 'Ada', 'stored');
  sent[0].resolve(receipt('1-1-aa'));
  await settled();
  const open = before.add('a', 'Ada', 'open');
  before.add('b', 'Ada', 'elsewhere');
  const after = outbox();
  assert.deepEqual(after.open('a').map(({ text, state, key }) => [text, state, key]), [['open', 'unknown', open.key]]);
  sent.length = 0;
  after.flush();
  assert.deepEqual(sent.map(({ text }) => text), ['open', 'elsewhere']);
  assert.equal(sent[0].key, open.key);
  assert.equal(after.arrived(stored.key, '1-1-aa', '1').state, 'seen');
});

test('a browser that forbids storage loses nothing but that', () => {
  const refuse = () => { throw new Error('SecurityError'); };
  storage = { getItem: refuse, setItem: refuse };
  outbox().add('a', 'Ada', 'x');
  assert.equal(sent.length, 1);
});

test('nothing is shown twice: by message-id and by key, within bounds', () => {
  const shown = new Shown(4);
  assert.equal(shown.isNew('1', 'k'), true);
  assert.equal(shown.isNew('1', undefined), false);
  assert.equal(shown.isNew('2', 'k'), false);
  for (const id of ['3', '4', '5', '6']) assert.equal(shown.isNew(id), true);
  assert.equal(shown.isNew('1'), true, 'the oldest are forgotten');
});

test('keys are UUIDs of version 4', () => {
  const keys = new Set(Array.from({ length: 100 }, uuid));
  assert.equal(keys.size, 100);
  for (const key of keys) assert.match(key, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
