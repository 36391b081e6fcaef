// The messages on the screen: log order first, what is not in the log yet behind it. Text only through textContent.

const LONGEST = 1000; // messages kept in the page
const GROUP_MS = 5 * 60_000;
const HUES = 12;
const DELIVERY = {
  waiting: 'waiting', sent: 'sent', stored: 'stored', seen: 'seen', unknown: 'not confirmed', failed: 'refused',
};
const DELIVERY_TITLES = {
  waiting: 'Goes out as soon as the connection is back',
  sent: 'On its way: the server has not confirmed it yet',
  stored: 'In the log, acknowledged by Kafka',
  seen: 'In the log, and it came back to this page in the order of the room',
  unknown: 'The connection was lost before the answer. It is sent again under the same key, so the room shows it once',
  failed: 'The server has refused it',
};

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/** An element with classes, text and attributes; nothing is ever parsed as HTML. */
export function element(name, classes = '', text = '', attributes = {}) {
  const node = document.createElement(name);
  node.className = classes;
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/** One of the colours of style.css, the same for the same sender on every page. */
export function hue(sender) {
  let hash = 7;
  for (const char of sender) hash = (hash * 31 + char.codePointAt(0)) % 1_000_003;
  return `hue-${hash % HUES}`;
}

export const initial = (name) => [...name.trim()][0]?.toUpperCase() ?? '?';

export class Timeline {
  #list; #on; #facts = new WeakMap(); #open = new Map();

  /** `list` is an `ol`; `again(entry)` and `discard(entry)` are the buttons under a message that did not get through. */
  constructor(list, { again, discard }) {
    this.#list = list;
    this.#on = { again, discard };
  }

  get isEmpty() {
    return !this.#list.firstElementChild;
  }

  clear() {
    this.#list.replaceChildren();
    this.#open.clear();
  }

  /** A MESSAGE, at the end of the log; `entry` if it is one of ours, which then leaves the waiting end. */
  message(frame, entry) {
    const { sender = 'anonymous', nickname = '', 'message-id': id, timestamp } = frame.headers;
    const at = Number(timestamp) || Date.now();
    let item = entry && this.#open.get(entry.key);
    if (item) {
      this.#open.delete(entry.key);
      item.classList.remove('open');
    } else {
      item = this.#item({ sender, nickname, text: frame.text, own: Boolean(entry) });
    }
    item.dataset.messageId = id;
    this.#time(item, at);
    if (entry) this.#delivery(item, entry);
    const end = this.#firstOpen();
    // An item that is in its place already is not moved: screen readers would read it a second time.
    if (!item.isConnected || (end && end.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING)) {
      this.#list.insertBefore(item, end);
    }
    this.#facts.set(item, { who: `${sender}\n${nickname}`, at });
    this.#separateDays(item, at);
    this.#group(item);
    this.#group(item.nextElementSibling);
    while (this.#list.childElementCount > LONGEST) this.#list.firstElementChild.remove();
    return item;
  }

  /** An entry of the outbox has changed: shows it, or shows its new state. */
  entry(entry) {
    let item = this.#open.get(entry.key);
    if (!item) {
      if (entry.seenAs) item = this.#list.querySelector(`[data-message-id="${CSS.escape(entry.seenAs)}"]`);
      if (!item && (entry.seenAs || entry.storedAs)) return; // of a room that was left
      item ??= this.#item({ nickname: entry.nickname, text: entry.text, own: true });
      if (!entry.seenAs) this.#waits(item, entry);
    }
    if (entry.timestamp) this.#time(item, Number(entry.timestamp));
    this.#delivery(item, entry);
  }

  /** A line across: `text` says what may be missing here. What is stored by now stays above it. */
  gap(text) {
    for (const [key, item] of this.#open) {
      if (item.dataset.state !== 'stored') continue;
      item.classList.remove('open');
      this.#open.delete(key);
    }
    this.#list.insertBefore(element('li', 'line gap', text), this.#firstOpen());
  }

  /** "Today" ends at midnight. */
  nameDays() {
    for (const line of this.#list.querySelectorAll('.day')) line.textContent = dayName(Number(line.dataset.at));
  }

  #waits(item, entry) {
    item.classList.add('open');
    this.#open.set(entry.key, item);
    this.#list.append(item);
    this.#facts.set(item, { who: 'own', at: Date.now() });
    this.#group(item);
  }

  #firstOpen() {
    return this.#list.querySelector('.open');
  }

  #item({ sender, nickname, text, own }) {
    const item = element('li', own ? 'message own' : 'message');
    if (!own) {
      const name = nickname || sender;
      item.append(element('span', `avatar ${hue(sender)}`, initial(name), { 'aria-hidden': 'true' }));
      const who = element('div', 'who');
      if (nickname) {
        who.append(element('bdi', 'nickname', nickname, { title: 'A nickname: chosen by the sender, verified by nobody' }));
      }
      who.append(element('bdi', 'sender', sender, { title: 'The identity that the server vouches for' }));
      item.append(who);
    }
    const bubble = element('div', 'bubble');
    const meta = element('span', 'meta');
    meta.append(element('time'), element('span', 'delivery'));
    bubble.append(element('p', 'text', text, { dir: 'auto' }), meta);
    item.append(bubble);
    return item;
  }

  #time(item, at) {
    const time = item.querySelector('time');
    const when = new Date(at);
    time.textContent = clock.format(when);
    time.dateTime = when.toISOString();
    time.title = full.format(when);
  }

  #delivery(item, entry) {
    const label = item.querySelector('.delivery');
    const id = entry.seenAs ?? entry.storedAs;
    item.dataset.state = entry.state;
    label.textContent = DELIVERY[entry.state];
    label.title = id ? `${DELIVERY_TITLES[entry.state]} (${id})` : DELIVERY_TITLES[entry.state];
    item.querySelector('.foot')?.remove();
    if (entry.state !== 'failed' && entry.state !== 'unknown') return;
    const foot = element('div', 'foot');
    foot.append(element('span', 'why', entry.why ?? ''), this.#button('Send again', () => this.#on.again(entry)));
    // What may be in the log already cannot be taken back.
    if (entry.state === 'failed') foot.append(this.#button('Discard', () => this.#discard(entry)));
    item.append(foot);
  }

  #button(text, action) {
    const button = element('button', 'small', text, { type: 'button' });
    button.addEventListener('click', action);
    return button;
  }

  #discard(entry) {
    this.#open.get(entry.key)?.remove();
    this.#open.delete(entry.key);
    this.#on.discard(entry);
  }

  #separateDays(item, at) {
    let before = item.previousElementSibling;
    while (before && !this.#facts.has(before)) before = before.previousElementSibling;
    if (before && sameDay(this.#facts.get(before).at, at)) return;
    const line = element('li', 'line day', dayName(at));
    line.dataset.at = at;
    item.before(line);
    this.nameDays();
  }

  // A message right after one of the same author needs no name and no avatar.
  #group(item) {
    const facts = item && this.#facts.get(item);
    const before = item?.previousElementSibling && this.#facts.get(item.previousElementSibling);
    if (!facts) return;
    const own = item.classList.contains('own');
    const same = before && own === item.previousElementSibling.classList.contains('own') && (own || before.who === facts.who);
    item.classList.toggle('grouped', Boolean(same) && facts.at - before.at < GROUP_MS);
  }
}

const sameDay = (one, other) => new Date(one).toDateString() === new Date(other).toDateString();

function dayName(at) {
  const now = Date.now();
  if (sameDay(at, now)) return 'Today';
  return sameDay(at, now - 86_400_000) ? 'Yesterday' : date.format(new Date(at));
}
