// The page of the four ways in headless Chromium: node compare.mjs HOST:PORT, an edge with --dev.

import assert from 'node:assert/strict';
import { DESKTOP, PHONE, Reader, WAIT_MS, run } from './page_kit.mjs';
import { Proxy } from './compare_proxy.mjs';

/** What a hard cut may throw away that had gone by and that the browser had not read yet, for both of them. */
const LOST_IN_CUTS = 1200;
const proxy = await Proxy.before(process.argv[2]);
const STREAMS = ['events', 'socket', 'stomp'];
const WAYS = ['polling', ...STREAMS];
const MEANWHILE = 12; // said while the streams are held up
const room = 'vier/wege é';
const url = `${proxy.base}/compare#${encodeURIComponent(room)}`;

await run(async (browser) => {
  await links(browser);
  const reader = await Reader.open(browser, url, 'Ada', DESKTOP);
  await counting(reader);
  await resuming(reader);
  await missing(reader);
  await octets(reader);
  assert.deepEqual(await overflow(reader), []);
  assert.deepEqual(reader.faults, []);
  await reader.context.close();
  await phone(browser);
  proxy.close();
});

/** From the chat and back, and from the question of a first visit. Past the proxy: nothing of this is counted. */
async function links(browser) {
  const chat = await Reader.open(browser, `http://${process.argv[2]}/#lobby`, 'Ada', PHONE);
  await chat.connection('live');
  await chat.page.getByRole('link', { name: 'Compare' }).click();
  await chat.page.waitForURL('**/compare');
  await chat.page.getByRole('link', { name: 'Chat' }).click();
  await chat.page.getByRole('link', { name: 'side by side' }).click();
  await chat.page.waitForURL('**/compare');
  await once(chat, WAYS, ({ state }) => state === 'live', 'all four are live');
  assert.deepEqual(chat.faults, []);
  await chat.context.close();
}

/** What the table says: `{ way: { fact: text } }`; numbers as numbers. */
function facts({ page }) {
  return page.locator('td[data-fact]').evaluateAll((cells) => cells.reduce((all, cell) => {
    const text = cell.querySelector('span').textContent;
    (all[cell.dataset.way] ??= {})[cell.dataset.fact] = /^\d+$/.test(text) ? Number(text) : text;
    return all;
  }, {}));
}

/** The facts, once `wanted` holds for each of these ways. */
async function once(reader, ways, wanted, what) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const all = await facts(reader);
    if (ways.every((way) => all[way] && wanted(all[way]))) return all;
    assert.ok(Date.now() < deadline, `${what}: ${JSON.stringify(all)}`);
    await reader.page.waitForTimeout(50);
  }
}

/** `[stored, said]` by this page. */
async function posted({ page }) {
  return /^(\d+) of (\d+) stored/.exec(await page.textContent('#posted'))?.slice(1).map(Number) ?? [0, 0];
}

async function said(reader, count) {
  const deadline = Date.now() + WAIT_MS;
  while ((await posted(reader))[0] < count) {
    assert.ok(Date.now() < deadline, `${count} are stored: ${await reader.page.textContent('#posted')}`);
    await reader.page.waitForTimeout(50);
  }
}

/** Nothing more is said, and everything that was is stored; how much that is. */
async function silence(reader) {
  await reader.page.uncheck('#stream');
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const [stored, all] = await posted(reader);
    if (stored === all) return stored;
    assert.ok(Date.now() < deadline, `${stored} of ${all}`);
    await reader.page.waitForTimeout(50);
  }
}

/** Cuts, and lets those who come back in only after more has been said. */
async function cut(reader) {
  reader.outage = true;
  const before = await facts(reader);
  const [stored] = await posted(reader);
  proxy.hold();
  await reader.page.click('#cut');
  await once(reader, STREAMS, ({ state }) => state !== 'live', 'the streams are cut');
  await said(reader, stored + MEANWHILE);
  const deadline = Date.now() + WAIT_MS;
  // A browser opens one WebSocket to an address at a time: the second waits until the first is through.
  while (proxy.held < 2) {
    assert.ok(Date.now() < deadline, `${proxy.held} have come back: ${JSON.stringify(await facts(reader))}`);
    await reader.page.waitForTimeout(50);
  }
  proxy.release();
  await once(reader, STREAMS, ({ state }) => state === 'live', 'the streams are back');
  reader.outage = false;
  for (const way of STREAMS) await once(reader, [way], ({ reconnects }) => reconnects === before[way].reconnects + 1, 'came back once');
  return before;
}

/** All four count up; each message comes on each way, once; waiting is what polling costs. */
async function counting(reader) {
  const { page } = reader;
  await once(reader, WAYS, ({ state }) => state === 'live', 'all four are live');
  assert.equal(await page.textContent('#room'), `#${room}`);
  await page.fill('#text', 'Hello');
  await page.press('#text', 'Enter');
  const all = await once(reader, WAYS, ({ messages }) => messages === 1, 'the first message');
  assert.deepEqual(STREAMS.map((way) => all[way].requests), [1, 1, 1]);
  assert.equal(all.polling.held, 'nothing between two requests');
  await page.check('#stream');
  await once(reader, WAYS, ({ messages }) => messages > 30, 'ten a second');
  const later = await once(reader, ['polling'], ({ requests }) => requests >= 4, 'polling asks again and again');
  const ms = (text) => Number.parseFloat(text) * (/ s$/.test(text) ? 1_000 : 1);
  for (const way of STREAMS) {
    assert.ok(ms(later[way].p50) * 2 < ms(later.polling.p50), `${way}: ${later[way].p50}, polling: ${later.polling.p50}`);
    assert.equal(later[way].requests, 1);
  }
}

/** p2 p3 p4 p8: with their tokens all come back to everything, and nothing comes twice. */
async function resuming(reader) {
  await cut(reader);
  const stored = await silence(reader);
  const all = await once(reader, WAYS, ({ messages }) => messages === stored, `all ${stored} have come`);
  for (const way of WAYS) assert.deepEqual([all[way].missed, all[way].twice], [0, 0], way);
  for (const way of STREAMS) assert.ok(all[way].recovered >= MEANWHILE, `${way}: ${all[way].recovered}`);
}

/** Without a token what was said meanwhile is missed, and the page shows how much. */
async function missing(reader) {
  const { page } = reader;
  for (const way of ['polling', 'events', 'socket']) await page.uncheck(`.lane[data-way="${way}"] input`);
  await page.check('#stream');
  const before = await cut(reader);
  await once(reader, ['polling'], ({ missed }) => missed >= 5, 'ten of twenty in each poll');
  const stored = await silence(reader);
  const all = await once(reader, ['events', 'socket'], ({ missed }) => missed >= MEANWHILE, 'missed');
  for (const way of ['events', 'socket']) {
    await once(reader, [way], ({ messages, missed }) => messages + missed === stored, 'come or missed, nothing else');
    assert.equal(all[way].recovered, before[way].recovered, way);
  }
  const stomp = (await once(reader, ['stomp'], ({ messages }) => messages === stored, 'STOMP has all')).stomp;
  assert.deepEqual([stomp.missed, stomp.twice], [0, 0]);
}

/** What the page says of its octets, against what went by; polls go on meanwhile, so both are looked at until they agree. */
async function octets(reader) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const off = await differences(reader);
    if (off.length === 0) return;
    assert.ok(Date.now() < deadline, off.join('; '));
    await reader.page.waitForTimeout(250); // the table is written four times a second
  }
}

async function differences({ page }) {
  const off = [];
  for (const way of WAYS) {
    const cell = page.locator(`td[data-fact="wire"][data-way="${way}"]`);
    const requests = Number(await page.locator(`td[data-fact="requests"][data-way="${way}"] span`).textContent());
    const [sent, received] = (await cell.getAttribute('title')).match(/\d+/g).map(Number);
    const wire = { ...proxy.wire[way] };
    const near = (said, was, more) => Math.abs(said - was) < 0.02 * was + more;
    if (Math.abs(requests - wire.requests) > 1) off.push(`${way}: ${requests} requests, ${wire.requests} went by`);
    if (!near(sent, wire.sent, 0) || !near(received, wire.received, LOST_IN_CUTS)) {
      off.push(`${way}: ${sent} and ${received} octets, ${wire.sent} and ${wire.received} went by`);
    }
  }
  return off;
}

/** Boxes that are wider than they may be. */
function overflow({ page }) {
  return page.evaluate(() => ['html', 'body', 'header', 'main', '.scroll', '.controls'].map((selector) => {
    const box = document.querySelector(selector);
    return [selector, box.scrollWidth - box.clientWidth];
  }).filter(([, pixels]) => pixels > 0));
}

/** On a phone, in the dark. */
async function phone(browser) {
  const reader = await Reader.open(browser, url, 'Ada', { ...PHONE, colorScheme: 'dark' });
  await once(reader, WAYS, ({ state }) => state === 'live', 'all four are live');
  await reader.page.click('#say button');
  await once(reader, WAYS, ({ messages }) => messages === 1, 'a message');
  assert.deepEqual(await overflow(reader), []);
  const ink = await reader.page.locator('canvas').first().evaluate((canvas) => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.filter((part, at) => at % 4 === 3 && part > 0).length;
  });
  assert.ok(ink > 100, 'something is drawn');
  assert.deepEqual(reader.faults, []);
  await reader.context.close();
}
