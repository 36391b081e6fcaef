// Headless Chromium for the page's test, and the lines that the test and its driver (tests/page.rs) exchange.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];
export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
export const WAIT_MS = 30_000;

function browserPath() {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const places = process.env.PATH.split(delimiter).flatMap((dir) => names.map((name) => join(dir, name)));
  return places.find(existsSync);
}

/** `{ browser, close() }`, with a profile of its own that does not outlive it. */
export async function launch() {
  const home = mkdtempSync(join(tmpdir(), 'klatsch-page-'));
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home };
  const browser = await chromium.launch({ executablePath: browserPath(), args: FLAGS, env, timeout: 60_000 });
  const close = async () => {
    await browser.close();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  return { browser, close };
}

/**
 * One reader: a page in a browser context of its own (its own storage, its own network), with the nickname known.
 * `faults` collects uncaught errors, console errors and violations of the content security policy. While `outage` is
 * true, the browser's own lines about connections that are lost or cannot be opened are none.
 */
export class Reader {
  static opened = [];

  static async open(browser, url, nickname, options = DESKTOP) {
    const reader = new Reader();
    Reader.opened.push(reader);
    reader.name = nickname;
    reader.faults = [];
    reader.outage = false;
    reader.context = await browser.newContext({ locale: 'en-GB', ...options });
    reader.context.setDefaultTimeout(WAIT_MS);
    await reader.context.addInitScript((name) => {
      if (name) localStorage.setItem('klatsch.nickname', name);
      addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective}`));
    }, nickname);
    reader.page = await reader.context.newPage();
    reader.page.on('pageerror', (error) => reader.faults.push(`uncaught: ${error.stack}`));
    reader.page.on('console', (line) => reader.#logged(line));
    reader.page.on('dialog', async (dialog) => {
      reader.faults.push(`dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    reader.response = await reader.page.goto(url);
    return reader;
  }

  #logged(line) {
    if (line.type() !== 'error' && line.type() !== 'warning') return;
    if (this.outage && /^WebSocket connection to '.*' failed|^Failed to load resource: net::ERR_/.test(line.text())) return;
    this.faults.push(`${line.type()}: ${line.text()}`);
  }

  /** Waits until the header says this: live, away, … */
  connection(state) {
    return this.page.locator(`#state[data-state="${state}"]`).waitFor();
  }

  async write(text) {
    await this.page.fill('#text', text);
    await this.page.press('#text', 'Enter');
  }

  /** The one message with exactly this text. */
  message(text) {
    return this.page.locator('.message').filter({ has: this.page.locator('.text').getByText(text, { exact: true }) });
  }

  /** Waits until the own message with this text has come so far; returns its message-id. */
  async reaches(text, state) {
    const message = this.message(text).and(this.page.locator(`[data-state="${state}"]`));
    await message.waitFor();
    return message.getAttribute('data-message-id');
  }

  /** Waits for somebody else's message with this text; returns its message-id. */
  async receives(text) {
    const message = this.message(text).and(this.page.locator(':not(.own)'));
    await message.waitFor();
    return message.getAttribute('data-message-id');
  }

  /** What is shown, in order: `[message-id, text]`. */
  shown() {
    return this.page.locator('.message').evaluateAll((items) => items.map((item) => [item.dataset.messageId, item.querySelector('.text').textContent]));
  }

  /** Horizontal overflow in CSS pixels, of the document and of the messages. */
  overflow() {
    return this.page.evaluate(() => ['html', 'body', '#scroller', 'header', '#composer'].map((selector) => {
      const box = document.querySelector(selector);
      return [selector, box.scrollWidth - box.clientWidth];
    }).filter(([, pixels]) => pixels > 0));
  }
}

const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Tells the driver where the test is, and waits until it has done its part. */
export async function driver(at) {
  console.log(JSON.stringify({ at }));
  const { value, done } = await commands.next();
  if (done) throw new Error(`the driver has gone at "${at}"`);
  return JSON.parse(value);
}

/** Runs the test; the last line, after which nothing is left running, is `{ at: "passed" }` or `{ at: "failed", why }`. */
export async function run(test) {
  const { browser, close } = await launch();
  const why = await test(browser).then(() => undefined, (error) => [error.stack, ...Reader.opened.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`))].join('\n'));
  await close();
  console.log(JSON.stringify(why ? { at: 'failed', why } : { at: 'passed' }));
  process.stdin.destroy();
}
