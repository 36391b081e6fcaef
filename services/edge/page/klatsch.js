// The page: joins the room of the URL fragment, shows what is said there and sends what is written.

import { Client } from './stomp.js';
import { Outbox, Shown } from './outbox.js';
import { Timeline, hue, initial } from './timeline.js';

const HISTORY = '50';
const NEAR_END_PX = 80;
const $ = (id) => document.getElementById(id);
const scroller = $('scroller');
const list = $('messages');

let room = '';
let nickname = remembered();
let subscription; // of the room that is shown
let position; // the last message-id (or x-position) known: where to go on after a lost connection
let awaySince;
let state = { name: 'ended' };
let unread = 0; // since the reader last saw the end of the list
let shown = new Shown();

const client = new Client(location.origin.replace(/^http/, 'ws') + '/ws', {
  headers: { 'x-errors': 'soft' },
  onState: connectionState,
  onConnect(frame) {
    identity(frame.headers['user-name'] ?? '');
    // A refused SEND then does not end the session.
    if (frame.headers['x-errors'] === 'soft') softErrors();
    // What waits goes out once the room is listened to: it is to come back.
    subscribe().finally(() => outbox.flush());
  },
});
const outbox = new Outbox({
  send: (...frame) => client.send(...frame),
  changed: (entry) => entry.room === room && keepingEnd(() => timeline.entry(entry)),
  storage: attempt(() => sessionStorage),
});
const timeline = new Timeline(list, {
  again: (entry) => outbox.again(entry),
  discard: (entry) => keepingEnd(() => outbox.discard(entry)),
});

// --- the room ---

function enter() {
  const wanted = roomOf(location.hash);
  if (!wanted || !nickname) return askToJoin(wanted);
  $('me-nickname').textContent = nickname;
  $('me-avatar').textContent = initial(nickname);
  for (const id of ['me', 'copy']) $(id).hidden = false;
  if (wanted === room) return undefined;
  leave();
  room = wanted;
  $('room').firstElementChild.textContent = `#${room}`;
  for (const entry of outbox.open(room)) timeline.entry(entry);
  showUnread(0);
  if (client.live) subscribe();
  else client.open();
  if (matchMedia('(hover: hover)').matches) $('text').focus();
  return undefined;
}

function leave() {
  if (subscription) client.unsubscribe(subscription);
  subscription = position = awaySince = undefined;
  shown = new Shown();
  timeline.clear();
}

/** The rest of the fragment is the room: `/#lobby`, `/#team/blue`, `/#caf%C3%A9`. */
function roomOf(hash) {
  const raw = hash.slice(1);
  return (attempt(() => decodeURIComponent(raw)) ?? raw).trim();
}

/** Goes on behind the last known message; if the log cannot promise that, says so and shows the end of the log. */
async function subscribe(how = position ? { 'x-from': position } : { 'x-history': HISTORY }) {
  const asked = room;
  list.setAttribute('aria-busy', 'true');
  const { id, receipt } = client.subscribe(`/topic/${room}`, (frame) => asked === room && arrived(frame), how);
  subscription = id;
  try {
    const { headers } = await receipt;
    if (subscription !== id) return;
    const resumed = how['x-from'] !== undefined;
    const complete = headers['x-recovered'] === 'true';
    if (resumed && !complete) {
      keepingEnd(() => timeline.gap(`${awayFor()} What was said meanwhile may be missing here.`));
    }
    // While a replay is under way its own messages move the position.
    if (!complete || headers['x-history-count'] === '0') position = headers['x-position'] ?? position;
    if (resumed && headers['x-recovered'] === 'false') {
      client.unsubscribe(id);
      await subscribe({ 'x-history': HISTORY });
    }
    awaySince = undefined;
  } catch (error) {
    if (error.outcome === 'refused' && asked === room) {
      client.close(); // a page that shows no room needs no connection
      connectionState({ name: 'ended', why: error.message });
    }
  } finally {
    list.removeAttribute('aria-busy');
    showEmpty();
  }
}

function softErrors() {
  client.subscribe('/user/queue/errors', (frame) => client.refuse(frame)).receipt.catch(() => {
    // The connection has gone meanwhile, or refusals come as ERROR.
  });
}

function arrived(frame) {
  const { 'message-id': id, 'x-idempotency-key': key, timestamp } = frame.headers;
  position = id;
  if (!shown.isNew(id, key)) return;
  const entry = key && outbox.arrived(key, id, timestamp);
  keepingEnd(() => timeline.message(frame, entry));
  if (!entry && (document.hidden || !atEnd())) showUnread(unread + 1);
}

function awayFor() {
  const seconds = Math.round((Date.now() - (awaySince ?? Date.now())) / 1000);
  if (seconds < 1) return 'The connection was lost for a moment.';
  return seconds < 120 ? `The connection was lost for ${seconds} s.` : `The connection was lost for ${Math.round(seconds / 60)} min.`;
}

// --- the connection ---

function connectionState(next) {
  state = next;
  if (state.name === 'away') awaySince ??= Date.now();
  const names = { connecting: 'Connecting…', live: 'Live', away: 'Away', ended: 'Disconnected' };
  $('state').textContent = names[state.name];
  $('state').dataset.state = state.name;
  $('banner').dataset.state = state.name;
  // Between two attempts the banner stays, so that the page does not jump.
  if (state.name === 'connecting' && !$('banner').hidden) $('countdown').textContent = 'Trying again…';
  else $('banner').hidden = state.name === 'live' || state.name === 'connecting';
  if (state.why && $('why').textContent !== sentence(state.why)) $('why').textContent = sentence(state.why);
  $('retry').textContent = state.name === 'ended' ? 'Connect again' : 'Try now';
  countDown();
}

function countDown() {
  if (state.name === 'ended') $('countdown').textContent = '';
  if (state.name !== 'away') return;
  const seconds = Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000));
  $('countdown').textContent = `Trying again in ${seconds} s. What you write meanwhile is kept.`;
}

function identity(name) {
  $('me-sender').textContent = name;
  $('me').title = name ? `The server knows you as ${name}` : '';
  $('me-avatar').className = `avatar ${hue(name)}`;
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`.replace(/\.\.$/, '.');

// --- reading ---

const atEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
const toEnd = () => scroller.scrollTo({ top: scroller.scrollHeight });

/** A reader at the end stays there; one who reads older messages is not moved. */
function keepingEnd(change) {
  const stay = atEnd();
  change();
  showEmpty();
  if (stay) toEnd();
}

function showEmpty() {
  $('empty').hidden = !room || !timeline.isEmpty || list.getAttribute('aria-busy') === 'true' || state.name !== 'live';
}

function showUnread(count) {
  unread = count;
  const name = room ? `#${room} · klatsch` : 'klatsch';
  document.title = unread ? `(${unread}) ${name}` : name;
  showJump();
}

function showJump() {
  $('jump').hidden = atEnd();
  $('jump').textContent = unread ? `${unread} new ${unread === 1 ? 'message' : 'messages'}` : 'To the newest';
}

function looked() {
  if (!document.hidden && atEnd()) showUnread(0);
  else showJump();
}

// --- writing ---

function send() {
  const text = $('text').value.replace(/^\n+|\s+$/g, '');
  if (!text || !room) return;
  $('text').value = '';
  written();
  outbox.add(room, nickname, text);
  toEnd();
}

function written() {
  const text = $('text');
  $('send').disabled = !text.value.trim();
  if (!CSS.supports('field-sizing', 'content')) text.rows = Math.min(6, text.value.split('\n').length);
}

async function copyLink() {
  if (navigator.clipboard) await navigator.clipboard.writeText(location.href);
  else {
    // Over plain HTTP from another machine there is no clipboard object.
    const field = document.body.appendChild(document.createElement('textarea'));
    field.value = location.href;
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  $('told').textContent = 'Link copied';
  const labels = [$('copy').querySelector('.label'), $('copy-empty')];
  for (const label of labels) label.textContent = 'Copied';
  setTimeout(() => {
    for (const label of labels) label.textContent = 'Copy link';
    $('told').textContent = '';
  }, 2000);
}

// --- joining ---

function askToJoin(wanted) {
  $('join-room').value = wanted || room || 'lobby';
  $('join-nickname').value = nickname;
  $('join-title').textContent = room ? 'Your name and room' : wanted ? `Join #${wanted}` : 'Join a room';
  if (!$('join').open) $('join').showModal();
  $(nickname ? 'join-room' : 'join-nickname').select();
}

function joined(event) {
  const wanted = $('join-room').value.trim().replace(/^#/, '');
  const name = $('join-nickname').value.trim();
  if (!wanted || !name || new TextEncoder().encode(wanted).length > 200) {
    event.preventDefault();
    $(name ? 'join-room' : 'join-nickname').select();
    return;
  }
  nickname = name;
  attempt(() => localStorage.setItem('klatsch.nickname', name));
  const hash = `#${encodeURIComponent(wanted).replaceAll('%2F', '/')}`;
  if (location.hash === hash) enter();
  else location.hash = hash; // hashchange enters
}

function remembered() {
  return attempt(() => localStorage.getItem('klatsch.nickname')) ?? '';
}

/** The result, or undefined where the browser forbids it (storage) or the text is broken (escapes). */
function attempt(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}

addEventListener('hashchange', enter);
addEventListener('online', () => state.name === 'away' && client.open());
document.addEventListener('visibilitychange', () => {
  // A hidden page's timers run once a minute: whoever comes back should not wait for them.
  if (!document.hidden && state.name === 'away') client.open();
  timeline.nameDays();
  looked();
});
scroller.addEventListener('scroll', looked, { passive: true });
// The keyboard of a phone, or a growing text field, takes room away: the end stays in sight.
let height = scroller.clientHeight;
new ResizeObserver(() => {
  const grown = scroller.clientHeight - height;
  height = scroller.clientHeight;
  if (scroller.scrollHeight - scroller.scrollTop - height + grown < NEAR_END_PX) toEnd();
}).observe(scroller);
setInterval(countDown, 250);

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
$('text').addEventListener('input', written);
$('text').addEventListener('keydown', (event) => {
  // While an input method composes (Korean, Japanese, …), Enter belongs to it.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  send();
});
$('join-form').addEventListener('submit', joined);
$('join').addEventListener('cancel', (event) => !room && event.preventDefault());
for (const id of ['copy', 'copy-empty']) $(id).addEventListener('click', copyLink);
$('me').addEventListener('click', () => askToJoin(room));
$('jump').addEventListener('click', toEnd);
$('retry').addEventListener('click', () => client.open());
written();
enter();
