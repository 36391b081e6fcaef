// Clients of rooms from npm, each as its documentation has it: how it is opened, how it comes back, what it sees of a refusal.

import { strict as assert } from 'node:assert';
import { createEventSource } from 'eventsource-client';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';

const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});
const fetchWith = (token) => (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...bearer(token) } });

/**
 * `eventsource`: the interface of browsers. Header fields go in by `fetch`; it comes back by itself, with `Last-Event-ID`,
 * but like browsers it gives up at any status but 200: for an edge that is starting a new one is made.
 */
const eventsource = {
  open(url, heard, token) {
    let source;
    let after;
    const listen = () => {
      source = new EventSource(after ? `${url}?after=${after}` : url, { fetch: fetchWith(token) });
      source.addEventListener('subscribed', ({ data }) => heard.tell('subscribed', JSON.parse(data)));
      source.addEventListener('message', ({ data, lastEventId }) => {
        after = lastEventId;
        heard.tell('message', [JSON.parse(data), lastEventId]);
      });
      source.addEventListener('error', ({ code }) => code >= 500 && setTimeout(listen, 200));
    };
    listen();
    return { close: () => source.close() };
  },
  status(url, token) {
    return new Promise((done) => {
        const source = new EventSource(url, { fetch: fetchWith(token) });
      source.onerror = ({ code }) => {
        assert.equal(source.readyState, EventSource.CLOSED, 'it does not ask again');
        done(code);
      };
    });
  },
};

/** `eventsource-client`: it comes back whatever the status was, so the status is looked at in `fetch`. */
const eventsourceClient = {
  open(url, heard, token, seen = () => {}) {
    const waits = [];
    const source = createEventSource({
      url,
      headers: bearer(token),
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        seen(response.status);
        return response;
      },
      onMessage: ({ event = 'message', data, id }) => {
        heard.tell(event, event === 'message' ? [JSON.parse(data), id] : JSON.parse(data));
      },
      onScheduleReconnect: ({ delay }) => waits.push(delay),
    });
    return { close: () => source.close(), retry: () => waits[0] };
  },
  status(url, token) {
    return new Promise((done) => {
      const source = this.open(url, { tell() {} }, token, (status) => {
        done(status);
        source.close();
      });
    });
  },
};

/** `ws` on the plain socket: it does not come back, so whoever uses it does, with the token in `?after=`. */
const ws = {
  way: 'socket',
  open(url, heard, token) {
    let after;
    let socket;
    let left = false;
    const connect = () => {
      socket = new WebSocket(after ? `${url}?after=${after}` : url, { headers: bearer(token) });
      socket.on('message', (data, binary) => {
        assert.equal(binary, false);
        const { type, ...what } = JSON.parse(data);
        if (type === 'subscribed') after ??= what.position;
        if (type === 'message') after = what.id;
        heard.tell(type, type === 'message' ? [what, what.id] : what);
      });
      socket.on('error', () => {}); // the close that follows says enough
      socket.on('close', () => left || setTimeout(connect, 200));
    };
    connect();
    const close = () => {
      left = true;
      socket.close();
    };
    return { close, send: (data) => socket.send(data) };
  },
  /** The socket is open before the session has spoken: a problem has the status. Without a session it is closed for good. */
  status(url, token) {
    return new Promise((done, failed) => {
      const socket = new WebSocket(url, { headers: bearer(token) });
      let status;
      socket.on('message', (data) => {
        const { type, problem } = JSON.parse(data);
        status = type === 'problem' ? problem.status : type;
        if (status !== 401) socket.close();
      });
      socket.on('error', failed);
      socket.on('close', (code) => (status === 401 && code < 4500 ? failed(new Error(`closed with ${code}`)) : done(status)));
    });
  },
  /** Text and octets go into the room as they are, and each is told its place: the first of a connection is number 1. */
  async says(connection, heard) {
    const octets = Uint8Array.of(0, 255, 10);
    connection.send('한국어 🎉');
    connection.send(octets);
    const stored = [await heard.take('stored'), await heard.take('stored')];
    const came = [await heard.take('message'), await heard.take('message')].map(([message]) => message);
    assert.deepEqual(stored.map(({ n }) => n), [1, 2]);
    assert.deepEqual(came.map(({ id }) => id), stored.map(({ id }) => id));
    assert.deepEqual(came.map(({ body, body_base64: base64 }) => [body, base64]),
      [['한국어 🎉', undefined], [undefined, Buffer.from(octets).toString('base64')]]);
    assert.deepEqual(came.map((message) => message.content_type), ['text/plain;charset=utf-8', 'application/octet-stream']);
  },
};

export const clients = { eventsource, 'eventsource-client': eventsourceClient, ws };
