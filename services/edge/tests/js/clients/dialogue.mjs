// What every client has to do and to see. tests/clients.rs is the other side: it keeps the edge, breaks it, listens in the
// room with a client of its own, and knows the same bodies.

import { strict as assert } from 'node:assert';
import { Session, assertBody } from './session.mjs';

const SIZE = 65_536;
/** Emoji stand in front: some clients cut frames every 16 Ki UTF-16 units, and halve what is two units long (W07). */
export const BODIES = {
  greeting: ['text/plain;charset=utf-8', '안녕하세요, 여러분! 👋🏽🎉 grüß dich 👩‍👩‍👧‍👦'],
  ascii: ['text/plain', '0123456789abcdef'.repeat(SIZE / 16)],
  korean: ['text/plain;charset=utf-8', `🎉${'한'.repeat((SIZE - 4) / 3)}`],
  json: ['application/json', '{"type":"TALK","message":"줄\\n바꿈: \\"따옴표\\" \\\\ 🎈"}'],
  octets: ['application/octet-stream', Uint8Array.from({ length: SIZE }, (_, at) => at % 256)],
};

const PEER = '나도 들려요 👋';

/** The whole dialogue; `driver(at, more)` tells the driver where it is and waits until that has done its part. */
export async function dialogue(adapter, transport, { url, guarded, token, wrong, room, resumes }, driver) {
  const session = await Session.open(adapter, transport, url);
  await settle(session, room);
  await talk(session, room, driver);
  await alias(session, room);

  // Twice the edge is gone and comes back at the same address: once in good order, once not.
  await driver('drain');
  await session.closed(1012);
  await again(session, room, 'drained');
  const last = await session.send(`/topic/${room}`, { receipt: 'last' }, 'the last word');
  assertBody(await session.message(), 'the last word');
  await driver('kill');
  await session.closed(1006, 1002);
  await again(session, room, 'killed', resumes ? last : undefined);

  await refused(session);
  session.client.disconnect();
  await session.closed(1000, 1005);

  await stranger(adapter, transport, guarded, wrong);
  await friend(adapter, transport, guarded, token, room);
}

/** Connects, says the bodies, leaves: for settings that only change how frames travel. */
export async function monologue(adapter, transport, { url, room }) {
  const session = await Session.open(adapter, transport, url);
  await settle(session, room);
  await bodies(session, room);
  session.client.disconnect();
  await session.closed(1000, 1005);
}

async function settle(session, room) {
  const { headers } = await session.connected();
  assert.equal(headers.version, session.adapter.version);
  assert.match(headers['heart-beat'], /^\d+,\d+$/, 'V10');
  assert(headers.session, 'V10');
  await session.subscribe(`/topic/${room}`, { id: 'room', receipt: 'room' });
}

/** All bodies at once; then their receipts, then their messages in the order of sending. */
async function bodies(session, room) {
  const colour = session.adapter.escapes ? '파랑: \\ 초록' : '파랑';
  const names = Object.keys(BODIES).filter((name) => name !== 'octets' || session.carriesBinary);
  const stored = names.map(async (name) => {
    const [type, body] = BODIES[name];
    const headers = { 'content-type': type, 'x-colour': colour, receipt: name };
    return [name, await session.send(`/topic/${room}`, headers, body)];
  });
  const ids = await Promise.all(stored);
  for (const [name, id] of ids) {
    const message = await session.message();
    assertBody(message, BODIES[name][1], name);
    const { headers } = message;
    assert.equal(headers['message-id'], id, `${name}: the RECEIPT named another place`);
    assert.equal(headers['content-type'], BODIES[name][0]);
    assert.equal(headers['x-colour'], colour);
    assert.deepEqual([headers.destination, headers.subscription], [`/topic/${room}`, 'room']);
    assert.equal(headers.receipt, undefined, 'M07');
  }
  return { stored: ids, colour };
}

async function talk(session, room, driver) {
  await driver('said', await bodies(session, room));
  const message = await session.message();
  assertBody(message, PEER, 'the message of somebody else');
  assert.equal(message.headers['content-type'], 'text/plain;charset=utf-8');
}

/** Spring's names for rooms; MESSAGE has the one that was subscribed (M02). Unsubscribed, the room is silent. */
async function alias(session, room) {
  const { client } = session;
  const subscription = client.subscribe(`/sub/chat/${room}`, { id: 'alias' });
  const id = await session.send(`/pub/chat/${room}`, { receipt: 'alias' }, '다른 방');
  const { headers } = await session.message();
  assert.deepEqual([headers.destination, headers.subscription], [`/sub/chat/${room}`, 'alias']);
  assert.equal(headers['message-id'], id);
  subscription.unsubscribe();
  await session.send(`/pub/chat/${room}`, { receipt: 'nobody' }, 'nobody listens');
  await session.send(`/topic/${room}`, { receipt: 'after' }, 'after');
  assertBody(await session.message(), 'after', 'what comes after UNSUBSCRIBE');
}

/** The client is back by its own habit: it subscribes again, and all is as before. */
async function again(session, room, word, from) {
  await session.connected();
  if (session.adapter.resubscribes) {
    await session.receipt('room');
  } else {
    const headers = from ? { 'x-from': from } : {};
    session.client.subscribe(`/topic/${room}`, { id: 'room', receipt: 'room', ...headers });
    const { headers: receipt } = await session.receipt('room');
    assert.equal(receipt['x-recovered'], from ? 'true' : undefined);
  }
  if (from) {
    const missed = await session.message();
    assertBody(missed, 'said meanwhile', 'what was missed');
    assert.equal(missed.headers['x-replayed'], 'true');
  }
  await session.send(`/topic/${room}`, { receipt: word }, word);
  assertBody(await session.message(), word, `after the edge was ${word}`);
}

/** A pattern is no room: ERROR says so in its header and its body, then the edge closes, and the client comes back. */
async function refused(session) {
  const subscription = session.client.subscribe('/topic/price.*', { id: 'pattern', receipt: 'pattern' });
  const error = await session.take('error');
  // Or it would be refused again and again.
  if (session.adapter.resubscribes) subscription.unsubscribe();
  assert.equal(error.headers.message, 'no such destination');
  assert.equal(error.headers['x-error-code'], '404');
  assert.equal(error.headers['receipt-id'], 'pattern', 'E02');
  assert(error.body.length > 0, 'E01');
  await session.closed(1008);
  await session.connected();
}

/** A token that nobody signed: ERROR before any CONNECTED, and a close code that says not to come back. */
async function stranger(adapter, transport, url, wrong) {
  const session = await Session.open(adapter, transport, url, { Authorization: `Bearer ${wrong}` });
  const error = await session.take('error');
  assert.equal(error.headers.message, 'credentials refused');
  assert.equal(error.headers['x-error-code'], '401');
  assert(error.body.length > 0, 'E01');
  await session.closed(4501);
  session.client.disconnect();
  assert(!session.left().includes('connected'), session.left());
}

/** The right one: the edge knows who it is, and says so to the room (promise 6). */
async function friend(adapter, transport, url, token, room) {
  const session = await Session.open(adapter, transport, url, { Authorization: `Bearer ${token}` });
  const { headers } = await session.connected();
  assert.equal(headers['user-name'], 'ann');
  await session.subscribe(`/topic/${room}`, { id: 'room', receipt: 'room' });
  await session.send(`/topic/${room}`, { receipt: 'me', sender: 'mallory', Authorization: `Bearer ${token}` }, 'me');
  const message = await session.message();
  assert.deepEqual([message.headers.sender, message.headers.Authorization], ['ann', undefined]);
  session.client.disconnect();
  await session.closed(1000, 1005);
}
