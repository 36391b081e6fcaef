// The page of the four ways: one room, read by four clients side by side, with what each of them costs and brings.
// The fragment names the room, as on the chat page.

import { Heads, measuring } from './octets.js';
import { Strip } from './strip.js';
import { Ledger, Tally } from './tally.js';
import { element } from './timeline.js';
import { Events, Polling, Socket, Stomp } from './ways.js';

const STATE_MS = 3_000;
const FACTS_MS = 250;
const FRAME_MS = matchMedia('(prefers-reduced-motion: reduce)').matches ? 1_000 : 50;
const STREAM_MS = 100;
const UNDER_WAY = 50; // of our own messages, at most
const TRIES = 6;
const PATIENCE_MS = 20_000; // an edge settles every message within 17 s
const $ = (id) => document.getElementById(id);
const clock = () => performance.now();

const KINDS = [
  { way: 'polling', Kind: Polling, transport: 'poll', name: 'Polling', how: 'GET …/messages every 2 s', holds: 'nothing between two requests' },
  { way: 'events', Kind: Events, transport: 'events', name: 'SSE', how: 'EventSource …/events' },
  { way: 'socket', Kind: Socket, transport: 'socket', name: 'WebSocket', how: 'WebSocket …/socket' },
  { way: 'stomp', Kind: Stomp, transport: 'websocket', name: 'STOMP', how: 'SUBSCRIBE over WebSocket /ws' },
];
const run = crypto.getRandomValues(new Uint32Array(2)).reduce((text, part) => text + part.toString(36), '');
const room = roomOf(location.hash) || 'compare';
const ledger = new Ledger();
const marks = [];
const posted = { said: 0, stored: 0, under: 0, last: '' };
let ways = [];
let held; // what the edge has told of itself

// --- what the edge tells ---

async function ask() {
  try {
    const response = await fetch('compare/state', { cache: 'no-store' });
    if (response.ok) held = await response.json();
  } catch {
    // It is asked again, and the ways themselves show that it is away.
  }
  return held;
}

async function begin() {
  $('room').textContent = `#${room}`;
  while (!await ask()) await new Promise((done) => { setTimeout(done, 1_000); });
  const heads = new Heads(held.request);
  $('cut').hidden = !held.cut;
  ways = KINDS.map(({ Kind, ...about }) => {
    const way = new Kind({ room, heads, clock, said, tally: new Tally() });
    return { ...about, client: way, tally: way.tally, strip: lane(about, way) };
  });
  table();
  measuring((url, octets) => ways.forEach(({ client }) => client.measured(url, octets)));
  for (const { client } of ways) client.start();
  setInterval(ask, STATE_MS);
  setInterval(count, FACTS_MS);
  draw(0);
}

/** When this page said what has this key; undefined if somebody else did. */
function said(key) {
  const [whose, , at] = key.split('_');
  return whose === run ? Number(at) : undefined;
}

// --- the drawings ---

function lane({ way, name, how }, client) {
  const item = element('li', 'lane', '', { 'data-way': way });
  const about = element('div', 'about');
  const option = element('label', 'switch');
  const box = element('input', '', '', { type: 'checkbox', role: 'switch' });
  box.checked = true;
  box.addEventListener('change', () => { client.resumes = box.checked; });
  option.append(box, 'resumes by token');
  const canvas = element('canvas', 'strip', '', { role: 'img', 'aria-label': `${name}: the last minute, each message as high as it was late` });
  about.append(element('h2', '', name), element('p', 'how', how), option);
  item.append(about, canvas);
  $('lanes').append(item);
  return new Strip(canvas);
}

let drawn = 0;
function draw(time) {
  requestAnimationFrame(draw);
  if (time - drawn < FRAME_MS) return;
  drawn = time;
  const now = clock();
  for (const { strip, tally } of ways) strip.draw(tally, marks, now);
}

// --- the numbers ---

const ROWS = [
  { fact: 'state', name: 'Right now', of: ({ tally }) => [tally.state, tally.why] },
  { fact: 'requests', name: 'Requests made', of: ({ tally }) => [tally.requests] },
  { fact: 'wire', name: 'On the wire', of: ({ tally }) => [size(tally.sent + tally.received), `↑ ${size(tally.sent)}\n↓ ${size(tally.received)}`], title: ({ tally }) => `${tally.sent} octets sent, ${tally.received} received` },
  { fact: 'messages', name: 'Messages', of: ({ tally }) => [tally.messages, tally.messages ? `${size((tally.sent + tally.received) / tally.messages)} each` : ''] },
  { fact: 'latest', name: 'Last one took', of: ({ tally }) => [time(tally.latest)] },
  { fact: 'p50', name: 'p50 so far', of: ({ tally }) => [time(tally.median.value)] },
  { fact: 'reconnects', name: 'Came back', of: ({ tally }) => [tally.reconnects] },
  { fact: 'recovered', name: 'Recovered', of: ({ tally }) => [tally.recovered], good: true },
  { fact: 'missed', name: 'Missed', of: ({ tally }) => [tally.missed], bad: true },
  { fact: 'twice', name: 'Twice', of: ({ tally }) => [tally.twice], bad: true },
  { fact: 'held', name: 'The edge holds for it', of: holding },
  { fact: 'sessions', name: 'Such sessions at the edge', of: sessions },
];

/** Those of all its clients, and what the edge states that an idle one takes at most. */
function sessions({ transport }) {
  const { sessions: now = '–', memory_bytes: each } = held.transports[transport] ?? {};
  return [now, each === undefined ? '' : `idle ≤ ${size(each)} each`];
}

function holding({ tally, holds }) {
  if (tally.state !== 'live') return ['nothing'];
  return holds ? [holds] : ['connection', 'session, subscription'];
}

function table() {
  for (const { way, name } of ways) $('facts').tHead.rows[0].append(element('th', '', name, { scope: 'col', 'data-way': way }));
  for (const { fact, name } of ROWS) {
    const row = element('tr');
    row.append(element('th', '', name, { scope: 'row' }));
    for (const { way } of ways) {
      const cell = element('td', '', '', { 'data-way': way, 'data-fact': fact });
      cell.append(element('span'), element('small'));
      row.append(cell);
    }
    $('facts').tBodies[0].append(row);
  }
}

function count() {
  const now = clock();
  ledger.judge(ways.map(({ tally }) => tally), now);
  for (const { tally } of ways) tally.forget(now);
  while (marks.length && marks[0] < now - 60_000) marks.shift();
  ROWS.forEach(({ of, title, good, bad }, row) => {
    ways.forEach((way, column) => {
      const cell = $('facts').tBodies[0].rows[row].cells[column + 1];
      const [value, more = ''] = of(way);
      write(cell.firstElementChild, String(value));
      write(cell.lastElementChild, more);
      if (title) cell.title = title(way);
      if (good) cell.dataset.good = value > 0;
      if (bad) cell.dataset.bad = value > 0;
    });
  });
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const number = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });

function size(octets) {
  const [value, unit] = octets < 1e3 ? [Math.round(octets), 'B'] : octets < 1e6 ? [octets / 1e3, 'KB'] : [octets / 1e6, 'MB'];
  return `${number.format(value)} ${unit}`;
}

function time(ms) {
  if (ms === undefined) return '–';
  return ms < 1_000 ? `${number.format(ms)} ms` : `${number.format(ms / 1_000)} s`;
}

// --- saying something ---

/** By POST, with a key under which it is sent again until somebody says what became of it. */
async function say(text) {
  const at = clock();
  const key = `${run}_${posted.said += 1}_${at.toFixed(1)}`;
  posted.under += 1;
  showPosted();
  try {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await post(text, key).catch((error) => ({ again: true, why: error.message }));
      if (answer.id) {
        ledger.add(answer.id, at, clock());
        posted.stored += 1;
        return tell(`stored after ${time(clock() - at)} as ${answer.id}`);
      }
      if (!answer.again || attempt === TRIES) return tell(answer.why, 'bad');
      tell(`${answer.why}; sent again`, 'bad');
      await new Promise((done) => { setTimeout(done, Math.random() * 2 ** attempt * 200 + (answer.after ?? 0) * 1_000); });
    }
  } finally {
    posted.under -= 1;
  }
}

async function post(text, key) {
  const response = await fetch(`rooms/${encodeURIComponent(room)}/messages`, {
    method: 'POST', body: text, signal: AbortSignal.timeout(PATIENCE_MS),
    headers: { 'content-type': 'text/plain;charset=utf-8', 'idempotency-key': key },
  });
  const answer = await response.json();
  if (response.status === 201) return answer;
  return { why: answer.detail ?? answer.title, after: answer.retry_after, again: [429, 502, 503, 504].includes(response.status) };
}

function tell(what, state = 'good') {
  $('posted').dataset.state = state;
  posted.last = ` · the last ${what}`;
  showPosted();
}

function showPosted() {
  write($('posted'), `${posted.stored} of ${posted.said} stored${posted.last}`);
}

let streaming;
function stream() {
  clearInterval(streaming);
  if ($('stream').checked) streaming = setInterval(() => posted.under < UNDER_WAY && say(`message ${posted.said + 1}`), STREAM_MS);
}

async function cut() {
  $('cut').disabled = true;
  marks.push(clock());
  try {
    const response = await fetch('compare/cut', { method: 'POST' });
    if (!response.ok) tell(`cut was refused: ${response.status}`, 'bad');
  } catch {
    // The connection that carried the request may have been one of them.
  }
  setTimeout(() => { $('cut').disabled = false; }, 1_000);
}

/** The rest of the fragment is the room, as on the chat page. */
function roomOf(hash) {
  try {
    return decodeURIComponent(hash.slice(1)).trim();
  } catch {
    return hash.slice(1).trim();
  }
}

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  $('text').value = '';
  say(text || `message ${posted.said + 1}`);
});
$('stream').addEventListener('change', stream);
$('cut').addEventListener('click', cut);
addEventListener('hashchange', () => location.reload());
begin();
