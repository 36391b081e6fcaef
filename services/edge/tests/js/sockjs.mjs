// The real sockjs-client, with the STOMP clients that are used over it. node sockjs.mjs SCENARIO URL ARGS…
//
//   talk URL TRANSPORT LIBRARY         a whole conversation, over this transport and no other
//   refused URL TRANSPORT TOKEN        a token that is not taken: ERROR, and SockJS's own close code
//   nothing URL                        what the client says when no transport is left
//   stay URL TRANSPORT                 a session that stays until standard input ends; says "connected" once it is there
//
// The last line is { "at": "passed", … } or { "at": "failed", "why": … }.

import assert from 'node:assert/strict';
import SockJS from 'sockjs-client';
import stompjs from 'stompjs';
import webstomp from 'webstomp-client';
import { Client } from '@stomp/stompjs';

const PATIENCE_MS = 30_000;
const LARGE = '한글'.repeat(10_922); // 65,532 octets, and more than one string: old clients cut at 16 KiB

/** Resolves with the next value that is given to `tell`. */
function inbox(what) {
  const waiting = [];
  const values = [];
  const tell = (value) => (waiting.length ? waiting.shift()(value) : values.push(value));
  const next = () => new Promise((resolve, reject) => {
    if (values.length) return resolve(values.shift());
    const late = setTimeout(() => reject(new Error(`${what}: nothing within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    waiting.push((value) => { clearTimeout(late); resolve(value); });
  });
  return { tell, next };
}

/** One STOMP client over one SockJS: the same few functions, whatever the library. */
class Talker {
  constructor(library, url, transport) {
    this.connected = inbox('CONNECTED');
    this.messages = inbox('MESSAGE');
    this.receipts = inbox('RECEIPT');
    this.errors = inbox('ERROR');
    this.closes = inbox('close');
    this.library = library;
    this.socket = () => {
      this.sockjs = new SockJS(url, null, { transports: transport, timeout: 10_000 });
      // The libraries set onclose themselves.
      this.sockjs.addEventListener('close', ({ code, reason }) => this.closes.tell({ code, reason }));
      return this.sockjs;
    };
  }

  connect(headers = {}) {
    if (this.library === '@stomp/stompjs') {
      this.client = new Client({
        webSocketFactory: this.socket,
        connectHeaders: headers,
        reconnectDelay: 0,
        onConnect: this.connected.tell,
        onStompError: this.errors.tell,
        onUnhandledReceipt: this.receipts.tell,
      });
      this.client.activate();
      return;
    }
    this.client = (this.library === 'stompjs' ? stompjs : webstomp).over(this.socket(), { debug: false });
    this.client.debug = () => {};
    this.client.onreceipt = this.receipts.tell;
    this.client.connect(headers, this.connected.tell, this.errors.tell);
  }

  subscribe(destination) {
    this.client.subscribe(destination, this.messages.tell);
  }

  send(destination, body, headers = {}) {
    if (this.library === '@stomp/stompjs') return this.client.publish({ destination, body, headers });
    return this.library === 'stompjs' ? this.client.send(destination, headers, body) : this.client.send(destination, body, headers);
  }

  async disconnect() {
    if (this.library === '@stomp/stompjs') return this.client.deactivate();
    return new Promise((resolve) => this.client.disconnect(resolve));
  }
}

const scenarios = {
  async talk(url, transport, library) {
    const room = `/topic/${library}-${transport}`;
    for (const visit of ['first', 'again']) {
      const talker = new Talker(library, url, transport);
      talker.connect();
      const { headers } = await talker.connected.next();
      assert.equal(headers.version, library === 'stompjs' ? '1.1' : '1.2');
      assert.equal(talker.sockjs.transport, transport);
      talker.subscribe(room);
      const texts = [`안녕하세요 🎉 ${visit}`, '"quoted" \\ \u2028 \u{1f469}\u200d\u{1f4bb}', LARGE];
      for (const [number, text] of texts.entries()) {
        talker.send(room, text, { receipt: `r-${number}` });
        assert.equal((await talker.messages.next()).body, text);
        assert.equal((await talker.receipts.next()).headers['receipt-id'], `r-${number}`);
      }
      await talker.disconnect();
      await talker.closes.next();
    }
  },

  async refused(url, transport, token) {
    const talker = new Talker('stompjs', url, transport);
    talker.connect({ Authorization: `Bearer ${token}` });
    const error = await talker.errors.next();
    assert.equal(error.headers['x-error-code'], '401');
    const { code, reason } = await talker.closes.next();
    assert.deepEqual([code, reason], [4501, 'credentials refused']);
  },

  async nothing(url) {
    const begun = Date.now();
    const talker = new Talker('stompjs', url, ['xhr-streaming', 'xhr-polling']);
    talker.connect();
    const { code } = await talker.closes.next();
    assert.equal(code, 2000);
    assert.ok(Date.now() - begun < 5_000, 'it is told at once');
  },

  async stay(url, transport) {
    const talker = new Talker('@stomp/stompjs', url, transport);
    talker.connect();
    await talker.connected.next();
    console.log(JSON.stringify({ at: 'connected' }));
    for await (const _ of process.stdin);
    await talker.disconnect();
  },
};

const [scenario, ...args] = process.argv.slice(2);
const why = await scenarios[scenario](...args).then(() => undefined, (error) => error.stack);
console.log(JSON.stringify(why ? { at: 'failed', why } : { at: 'passed' }));
process.exit(0);
