// Rooms from a page in headless Chromium: node browser.mjs '{"client": "EventSource", "url": …}' (tests/rooms_clients.rs).
// `EventSource` and `fetch` are the browser's own, `fetch-event-source` is @microsoft's. The page is of an origin of its own;
// told { at: "serving", origin, refused }, the driver starts edges that allow the first origin and not the second.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { launch } from '../page_kit.mjs';
import { Heard, converse, driver, run } from './dialogue.mjs';

const { client } = JSON.parse(process.argv[2]);
const library = createRequire(import.meta.url).resolve('@microsoft/fetch-event-source').replace(/cjs.index\.js$/, 'esm/');
const FILES = { '/library/fetch.js': 'fetch.js', '/library/parse': 'parse.js' };

/** A page that loads nothing but what a test imports. */
function serve() {
  const server = createServer((request, response) => {
    const file = FILES[request.url];
    const type = file ? 'text/javascript' : 'text/html';
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(file ? readFileSync(library + file) : '<!doctype html>');
  });
  return new Promise((listening) => {
    server.listen(0, '127.0.0.1', () => listening({ server, origin: `http://127.0.0.1:${server.address().port}` }));
  });
}

/** What each client does in the page: `tell` is the page's way to us. */
const inPage = {
  EventSource: (url) => {
    const source = new EventSource(url);
    source.addEventListener('subscribed', ({ data }) => window.tell('subscribed', JSON.parse(data)));
    source.addEventListener('message', ({ data, lastEventId }) => window.tell('message', [JSON.parse(data), lastEventId]));
    return source;
  },
  'fetch-event-source': async (url, token) => {
    const { fetchEventSource } = await import('/library/fetch.js');
    const left = new AbortController();
    fetchEventSource(url, {
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      signal: left.signal,
      openWhenHidden: true,
      async onopen(response) {
        window.tell('status', response.status);
        if (response.status !== 200) throw new Error(`status ${response.status}`);
      },
      onmessage: ({ event, data, id }) => {
        if (data) window.tell(event || 'message', event === 'subscribed' ? JSON.parse(data) : [JSON.parse(data), id]);
      },
      onclose() {
        throw new Error('the stream ended'); // or it would not come back
      },
      onerror(error) {
        if (/^status/.test(error.message)) throw error; // or it would come back
      },
    }).catch(() => {});
    return { close: () => left.abort() };
  },
};

/** As rooms/dialogue.mjs wants a client; each listens in a page of its own. */
function adapter(context, origin) {
  const visit = async (heard) => {
    const page = await context.newPage();
    await page.exposeFunction('tell', heard.tell);
    await page.goto(origin);
    return page;
  };
  return {
    async open(url, heard, token) {
      const page = await visit(heard);
      const address = client === 'EventSource' && token ? `${url}?token=${token}` : url;
      await page.evaluate(`(${inPage[client]})(${JSON.stringify(address)}, ${JSON.stringify(token ?? null)}).then?.(() => {})`);
      return { close: () => page.close() };
    },
    async status(url, token) {
      const heard = new Heard();
      const page = await visit(heard);
      const headers = token ? { Authorization: `Bearer ${token}` } : {};
      if (client !== 'EventSource') {
        await page.evaluate(`(${inPage[client]})(${JSON.stringify(url)}, ${JSON.stringify(token ?? null)}).then(() => {})`);
        return heard.take('status').finally(() => page.close());
      }
      // An EventSource is not shown the status, but it gives up; fetch shows it, with the problem, across origins too.
      const [state, status, problem] = await page.evaluate(async ([place, ours, mark]) => {
        const source = new EventSource(mark ? `${place}?token=${mark}` : place);
        const given = await new Promise((done) => { source.onerror = () => done(source.readyState); });
        const response = await fetch(place, { headers: { ...ours, accept: 'text/event-stream' } });
        return [given, response.status, await response.json()];
      }, [url, headers, token]);
      assert.equal(state, 2, 'closed for good');
      assert.equal(problem.status, status);
      await page.close();
      return status;
    },
  };
}

/** A page may do with fetch what the Origin list allows it: everything, or nothing at all. */
async function crossOrigin(browser, origin, refused, { url }) {
  const room = `${url}/rooms/elsewhere`;
  const ask = async (from) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(from);
    const told = await page.evaluate(async (place) => {
      const attempt = (action) => action().catch((error) => error.name);
      const posted = await attempt(async () => {
        const response = await fetch(`${place}/messages`, {
          method: 'POST', body: 'from a page', headers: { 'content-type': 'text/x-note', 'idempotency-key': 'once' },
        });
        return [response.status, (await response.json()).id];
      });
      const read = await attempt(async () => {
        const response = await fetch(`${place}/messages?after=first`);
        return [response.status, response.headers.get('etag'), (await response.json()).messages.map(({ id, body, content_type: type }) => [id, body, type])];
      });
      const streamed = await new Promise((done) => {
        const source = new EventSource(`${place}/events`);
        source.addEventListener('subscribed', () => { source.close(); done('open'); });
        source.onerror = () => done(source.readyState);
      });
      const socket = await new Promise((done) => {
        const opened = new WebSocket(`${place.replace('http', 'ws')}/socket`);
        opened.onmessage = ({ data }) => done(JSON.parse(data).type);
        opened.onerror = () => done('refused');
      });
      return { posted, read, streamed, socket };
    }, room);
    await context.close();
    return told;
  };
  const { posted, read, streamed, socket } = await ask(origin);
  const [status, id] = posted;
  assert.equal(status, 201);
  assert.deepEqual(read, [200, `W/"${id}"`, [[id, 'from a page', 'text/x-note']]], 'the page may read the tag');
  assert.deepEqual([streamed, socket], ['open', 'subscribed']);
  // A request that a browser lets nobody read, and that stored nothing: the message above is still the only one.
  assert.deepEqual(await ask(refused), { posted: 'TypeError', read: 'TypeError', streamed: 2, socket: 'refused' });
  const after = await (await fetch(`${room}/messages?after=first`)).json();
  assert.deepEqual(after.messages.map((message) => message.id), [id]);
}

await run(async () => {
  const [home, foreign] = [await serve(), await serve()];
  const { browser, close } = await launch();
  try {
    const plan = await driver('serving', { origin: home.origin });
    await crossOrigin(browser, home.origin, foreign.origin, plan);
    await converse(adapter(await browser.newContext(), home.origin), plan);
  } finally {
    await close();
    for (const { server } of [home, foreign]) {
      server.close();
      server.closeAllConnections();
    }
  }
});
