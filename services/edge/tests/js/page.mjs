// The page in headless Chromium, with an edge that is killed and comes back in between. node page.mjs http://HOST:PORT
// The driver (tests/page.rs) kills the edge at "kill" and starts it again at "start", on the same port.

import assert from 'node:assert/strict';
import { PHONE, Reader, driver, run } from './page_kit.mjs';

const base = process.argv[2];
const room = 'team/blue';
const url = `${base}/#${room}`;
const EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&lt;b&gt;';
const LONG = `${'Donaudampfschiffahrt'.repeat(12)} https://example.org/${'a'.repeat(300)} שלום 🎉`;
const POLICY = ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:"];

await run(async (browser) => {
  const ada = await Reader.open(browser, url, 'Ada');
  const grace = await Reader.open(browser, url, '<b>Grace</b>', PHONE);
  const readers = [ada, grace];

  await joining(browser);
  await policy(browser, ada);
  for (const reader of readers) await reader.connection('live');
  await emptyRoom(ada);
  await bothWays(ada, grace);
  await asText(ada, grace);
  await twoSessions(ada, grace);
  await readingBack(ada, grace);
  await restart(ada, grace);
  await otherRoom(ada, grace);
  for (const reader of readers) {
    assert.deepEqual(await reader.overflow(), [], `${reader.name}: nothing is wider than the screen`);
    assert.deepEqual(reader.faults, [], reader.name);
  }
});

/** The first visit: the link names the room, the page asks for a name and keeps it. */
async function joining(browser) {
  const guest = await Reader.open(browser, url, '', { ...PHONE, colorScheme: 'dark' });
  const { page } = guest;
  assert.equal(await page.inputValue('#join-room'), room);
  await page.press('#join-nickname', 'Enter');
  assert.ok(await page.locator('#join').isVisible(), 'a name is required');
  await page.fill('#join-nickname', 'Guest');
  await page.press('#join-nickname', 'Enter');
  await guest.connection('live');
  assert.equal(await page.textContent('#room'), `#${room}`);
  assert.deepEqual(await guest.overflow(), []);
  await page.reload();
  await guest.connection('live');
  assert.ok(await page.locator('#join').isHidden(), 'the name is kept');
  assert.deepEqual(guest.faults, []);
  await guest.context.close();
}

/** The policy is the strict one, and the browser enforces it. */
async function policy(browser, { response }) {
  const sent = response.headers()['content-security-policy'].split(';').map((part) => part.trim()).filter(Boolean);
  for (const part of POLICY) assert.ok(sent.includes(part), `${part} in ${sent}`);
  assert.doesNotMatch(sent.join(), /unsafe|https?:|\*/);
  const victim = await Reader.open(browser, url, 'Victim');
  await victim.page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.hacked = 1';
    document.body.append(script);
    document.body.setAttribute('style', 'color: red');
  });
  await victim.page.waitForFunction(() => getComputedStyle(document.body).color !== 'rgb(255, 0, 0)');
  assert.equal(await victim.page.evaluate(() => window.hacked), undefined);
  assert.ok(victim.faults.some((fault) => /CSP: script-src/.test(fault)), `${victim.faults}`);
  assert.ok(victim.faults.some((fault) => /CSP: style-src/.test(fault)), `${victim.faults}`);
  await victim.context.close();
}

async function emptyRoom({ page, context }) {
  await page.locator('#empty').waitFor();
  assert.match(await page.textContent('#empty'), /second tab/);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.click('#copy');
  await page.locator('#copy').getByText('Copied').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), url);
}

/** R02 M03: both see the message; the RECEIPT's message-id is the MESSAGE's ("seen" says so), and the same on both pages. */
async function bothWays(ada, grace) {
  await ada.write('Hello Grace');
  assert.equal(await ada.reaches('Hello Grace', 'seen'), await grace.receives('Hello Grace'));
  await grace.write('Hello Ada');
  assert.equal(await grace.reaches('Hello Ada', 'seen'), await ada.receives('Hello Ada'));
  assert.ok(await ada.page.locator('#empty').isHidden());

  const message = ada.message('Hello Ada');
  const time = Date.parse(await message.locator('time').getAttribute('datetime'));
  assert.ok(Math.abs(Date.now() - time) < 60_000, `the time of the log: ${new Date(time)}`);
  assert.ok((await message.locator('.sender').textContent()).length > 0, 'the identity is shown');
  assert.equal(await ada.page.locator('.day').count(), 1);

  await ada.page.focus('#text');
  await ada.page.keyboard.type('two');
  await ada.page.keyboard.press('Shift+Enter');
  await ada.page.keyboard.type('lines');
  await ada.page.keyboard.press('Enter');
  await ada.reaches('two\nlines', 'seen');
  await grace.receives('two\nlines');
  assert.equal(await ada.page.inputValue('#text'), '');
}

/** What people write, and what they call themselves, is text. */
async function asText(ada, grace) {
  for (const text of [EVIL, LONG]) {
    await grace.write(text);
    await grace.reaches(text, 'seen');
    await ada.receives(text);
    assert.equal(await ada.message(text).locator('.text').textContent(), text);
  }
  assert.equal(await ada.message(EVIL).locator('.nickname').textContent(), '<b>Grace</b>');
  for (const { page } of [ada, grace]) {
    assert.equal(await page.locator('#messages :is(img, script, b, a)').count(), 0);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
  }
}

/**
 * One key from two sessions, as after a lost connection: however many records that makes, the page shows one message.
 * stomp.js serves by itself, as in its example; a sender without nickname is known by the identity alone.
 */
async function twoSessions(ada, grace) {
  const ids = await ada.page.evaluate(async (destination) => {
    const { Client } = await import('/stomp.js');
    const sendOnce = () => new Promise((stored, failed) => {
      const client = new Client(location.origin.replace('http', 'ws') + '/ws', {
        async onConnect() {
          await client.send(destination, 'once', { 'x-idempotency-key': 'one key' }).then(stored, failed);
          client.close();
        },
      });
      client.open();
    });
    return [await sendOnce(), await sendOnce()].map(({ headers }) => headers['message-id']);
  }, `/topic/${room}`);
  await grace.write('after once');
  await grace.reaches('after once', 'seen');
  await ada.receives('after once');
  for (const reader of [ada, grace]) {
    assert.ok(ids.includes(await reader.receives('once')));
    assert.equal(await reader.message('once').count(), 1);
    assert.equal(await reader.message('once').locator('.nickname').count(), 0);
  }
}

/** Who reads older messages is not moved, and is told how many are new; the title says it too. */
async function readingBack(ada, grace) {
  for (let line = 1; line <= 12; line += 1) await ada.write(`line ${line}`);
  await ada.reaches('line 12', 'seen');
  await grace.receives('line 12');
  const texts = (await grace.shown()).map(([, text]) => text).filter((text) => text.startsWith('line '));
  assert.deepEqual(texts, Array.from({ length: 12 }, (_, index) => `line ${index + 1}`), 'order of one sender');

  await grace.page.evaluate(() => { document.getElementById('scroller').scrollTop = 0; });
  await grace.page.locator('#jump').waitFor();
  await ada.write('news');
  await grace.message('news').waitFor({ state: 'attached' });
  assert.equal(await grace.page.textContent('#jump'), '1 new message');
  assert.equal(await grace.page.title(), `(1) #${room} · klatsch`);
  assert.equal(await grace.page.evaluate(() => document.getElementById('scroller').scrollTop), 0);
  await grace.page.click('#jump');
  await grace.page.waitForFunction((title) => document.title === title, `#${room} · klatsch`);
  assert.ok(await grace.page.locator('#jump').isHidden());
}

/** The edge dies and comes back: both pages return by themselves; what was written meanwhile is delivered once. */
async function restart(ada, grace) {
  for (const reader of [ada, grace]) reader.outage = true;
  await driver('kill');
  for (const reader of [ada, grace]) await reader.connection('away');
  assert.match(await ada.page.textContent('#banner'), /Trying again/);
  await ada.write('written while away');
  await ada.reaches('written while away', 'waiting');
  // Ada stays away until Grace is back: otherwise it would be chance whether Grace is there when it is sent.
  await ada.context.setOffline(true);
  await driver('start');
  await grace.connection('live');
  await ada.context.setOffline(false);
  await ada.connection('live');
  for (const reader of [ada, grace]) reader.outage = false;

  assert.equal(await ada.reaches('written while away', 'seen'), await grace.receives('written while away'));
  await grace.write('welcome back');
  assert.equal(await grace.reaches('welcome back', 'seen'), await ada.receives('welcome back'));
  for (const reader of [ada, grace]) {
    assert.equal(await reader.message('written while away').count(), 1, 'delivered once');
    assert.equal(await reader.page.locator('.open').count(), 0, 'nothing waits');
    assert.ok(await reader.page.locator('#banner').isHidden());
  }
  assert.deepEqual(await ada.shown(), await grace.shown(), 'one order');
}

/** Rooms do not mix, and the fragment is the room. */
async function otherRoom(ada, grace) {
  await ada.page.evaluate(() => { location.hash = '#<i>caf%C3%A9'; });
  await ada.page.waitForFunction(() => document.getElementById('room').textContent === '#<i>café');
  await ada.write('in another room');
  await ada.reaches('in another room', 'seen');
  await grace.write('in the first room');
  await grace.reaches('in the first room', 'seen');
  assert.deepEqual((await ada.shown()).map(([, text]) => text), ['in another room']);
  assert.equal(await grace.message('in another room').count(), 0);
}
