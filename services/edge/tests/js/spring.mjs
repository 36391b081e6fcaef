// A Spring front end's page (spring/) in headless Chromium, from an origin of its own. node spring.mjs
// Says { at: "serving", origin }, and is told { server }: the edge that allows that origin. Then passed or failed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { DESKTOP, WAIT_MS, driver, run } from './page_kit.mjs';

const installed = createRequire(import.meta.url);
const here = new URL('./spring/', import.meta.url);
const FILES = {
  '/': ['text/html', new URL('index.html', here)],
  '/chat.js': ['text/javascript', new URL('chat.js', here)],
  '/sockjs.min.js': ['text/javascript', installed.resolve('sockjs-client/dist/sockjs.min.js')],
  '/webstomp.min.js': ['text/javascript', installed.resolve('webstomp-client/dist/webstomp.min.js')],
};

const files = createServer((request, response) => {
  const [type, file] = FILES[new URL(request.url, 'http://page').pathname] ?? [];
  if (!file) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(readFileSync(file));
});

/** Somebody who opens the page and enters a room. */
async function enter(browser, origin, query, room, name) {
  const context = await browser.newContext(DESKTOP);
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.stack));
  page.on('console', (line) => line.type() === 'error' && faults.push(line.text()));
  await page.goto(`${origin}/?${query}`);
  await page.fill('#room', room);
  await page.fill('#name', name);
  await page.click('#enter button');
  await page.locator('#say').waitFor();
  const said = (text) => page.locator('#messages li').getByText(text, { exact: true });
  return { page, faults, said, transport: await page.textContent('#state') };
}

async function say({ page }, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

async function talk(browser, origin, server, transport) {
  const query = new URLSearchParams({ server });
  if (transport) query.append('transport', transport);
  const [room, other] = [`방-${transport ?? 'any'}`, `다른-${transport ?? 'any'}`];
  const minji = await enter(browser, origin, query, room, '민지');
  assert.equal(minji.transport, transport ?? 'websocket');
  await minji.said('민지님이 입장했습니다.').waitFor();
  const jun = await enter(browser, origin, query, room, '준');
  const guest = await enter(browser, origin, query, other, '손님');
  await guest.said('손님님이 입장했습니다.').waitFor();
  for (const reader of [minji, jun]) await reader.said('준님이 입장했습니다.').waitFor();
  await say(minji, '안녕하세요 🎉 "따옴표" \\');
  await say(jun, '반가워요');
  for (const reader of [minji, jun]) {
    await reader.said('민지: 안녕하세요 🎉 "따옴표" \\').waitFor();
    await reader.said('준: 반가워요').waitFor();
  }
  await jun.page.click('#quit');
  // Over XHR sockjs-client throws away what it has not sent when it is closed; no server ever sees that.
  if (minji.transport === 'websocket') await minji.said('준님이 나갔습니다.').waitFor();
  await jun.page.locator('#state').getByText('닫힘').waitFor();
  await say(minji, '아직 있어요');
  await minji.said('민지: 아직 있어요').waitFor();
  assert.equal(await jun.said('민지: 아직 있어요').count(), 0, 'who has left hears nothing');
  assert.equal(await guest.page.locator('#messages li').count(), 1, 'rooms do not mix');
  for (const { page, faults } of [minji, jun, guest]) {
    assert.deepEqual(faults, []);
    await page.context().close();
  }
}

await run(async (browser) => {
  await new Promise((listening) => { files.listen(0, '127.0.0.1', listening); });
  const origin = `http://127.0.0.1:${files.address().port}`;
  const { server } = await driver({ serving: origin });
  for (const transport of [undefined, 'xhr-streaming', 'xhr-polling']) await talk(browser, origin, server, transport);
  files.close();
  files.closeAllConnections();
});
