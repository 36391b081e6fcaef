// node --test: the codec of the page against STOMP 1.2. Names carry the ids of stomp.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decoder, StompError, encode, escape, unescape } from './frame.js';

const utf8 = new TextEncoder();
const octets = (data) => (typeof data === 'string' ? utf8.encode(data) : data);
const plain = ({ command, headers, body }) => ({ command, headers: { ...headers }, body: [...body] });
const decode = (data) => new Decoder().push(data).map(plain);
const body = (text) => [...utf8.encode(text)];

const CASES = {
  'F01 plain frame': ['RECEIPT\nreceipt-id:r1\n\n\0', [{ command: 'RECEIPT', headers: { 'receipt-id': 'r1' }, body: [] }]],
  'F02 CRLF and LF mixed': ['MESSAGE\r\na:1\nb: 2 \r\n\r\nhi\r\n\0',
    [{ command: 'MESSAGE', headers: { a: '1', b: ' 2 ' }, body: body('hi\r\n') }]],
  'F04 EOLs around and between': ['\n\r\n\nA\n\n\0\n\r\n\nB\n\n\0\n',
    [{ command: 'A', headers: {}, body: [] }, { command: 'B', headers: {}, body: [] }]],
  'F07 F08 F09 colon in a value, empty value': ['A\nx:1:2\ny:\n\n\0', [{ command: 'A', headers: { x: '1:2', y: '' }, body: [] }]],
  'F11 F18 NUL in a body with content-length': ['A\ncontent-length:3\n\na\0b\0C\n\n\0',
    [{ command: 'A', headers: { 'content-length': '3' }, body: [97, 0, 98] }, { command: 'C', headers: {}, body: [] }]],
  'F12 body up to NUL': ['A\n\nsome\n\ntext\0', [{ command: 'A', headers: {}, body: body('some\n\ntext') }]],
  'F13 content-length counts octets': ['A\ncontent-length:9\n\n한국🎉\0'.replace('9', '10'),
    [{ command: 'A', headers: { 'content-length': '10' }, body: body('한국🎉') }]],
  'F22 first of repeated headers': ['A\nx:1\nx:2\n\n\0', [{ command: 'A', headers: { x: '1' }, body: [] }]],
  'F10 H03 H05 H11 escapes and UTF-8 in names and values': ['A\nf\\co\\\\:f\\co\\co\\nbar\\rbaz\\\\foo\nключ:значение\n\n\0',
    [{ command: 'A', headers: { 'f:o\\': 'f:o:o\nbar\rbaz\\foo', ключ: 'значение' }, body: [] }]],
  'H06 CONNECTED is not unescaped': ['CONNECTED\nserver:a\\cb\n\n\0', [{ command: 'CONNECTED', headers: { server: 'a\\cb' }, body: [] }]],
  'H07 one pass': ['A\nx:\\\\n\\\\\\n\n\n\0', [{ command: 'A', headers: { x: '\\n\\\n' }, body: [] }]],
  'a byte order mark is data': ['A\nx:\ufeffy\n\n\ufeff\0', [{ command: 'A', headers: { x: '\ufeffy' }, body: body('\ufeff') }]],
  'names of Object.prototype': ['A\n__proto__:x\nconstructor:y\n\n\0',
    [{ command: 'A', headers: Object.fromEntries([['__proto__', 'x'], ['constructor', 'y']]), body: [] }]],
};

for (const [name, [wire, frames]] of Object.entries(CASES)) {
  test(name, () => assert.deepEqual(decode(wire), frames));

  test(`F20 ${name}: the same in two pieces at every place, and byte by byte`, () => {
    const all = octets(wire);
    for (let cut = 0; cut <= all.length; cut += 1) {
      const decoder = new Decoder();
      const got = [...decoder.push(all.slice(0, cut)), ...decoder.push(all.slice(cut).buffer)];
      assert.deepEqual(got.map(plain), frames, `cut at ${cut}`);
    }
    const decoder = new Decoder();
    assert.deepEqual([...all].flatMap((octet) => decoder.push(Uint8Array.of(octet))).map(plain), frames);
  });
}

const FAULTS = {
  'F07 header without colon': 'A\nnocolon\n\n\0',
  'F08 empty header name': 'A\n:x\n\n\0',
  'F10 invalid UTF-8': Uint8Array.of(65, 10, 120, 58, 0xff, 10, 10, 0),
  'F11 no NUL after content-length': 'A\ncontent-length:2\n\nabc\0',
  'F14 content-length signed': 'A\ncontent-length:-1\n\n\0',
  'F14 content-length empty': 'A\ncontent-length:\n\n\0',
  'F14 content-length above the limit': 'A\ncontent-length:999999999\n\n',
  'H04 undefined escape': 'A\nx:\\t\n\n\0',
  'H04 lone backslash at the end': 'A\nx:y\\\n\n\0',
  'NUL inside the headers': 'A\nx:y\0',
};

for (const [name, wire] of Object.entries(FAULTS)) {
  test(`${name} is a fault, however it is cut`, () => {
    const all = octets(wire);
    for (let cut = 0; cut <= all.length; cut += 1) {
      const decoder = new Decoder();
      assert.throws(() => { decoder.push(all.slice(0, cut)); decoder.push(all.slice(cut)); }, StompError, `cut at ${cut}`);
    }
  });
}

test('L02 a frame that does not end is refused at the limit', () => {
  const decoder = new Decoder({ limit: 64 });
  assert.throws(() => { for (let sent = 0; sent < 80; sent += 8) decoder.push('A'.repeat(8)); }, /too large/);
});

test('F13 F18 encode: octets, not characters; exact bytes', () => {
  assert.equal(encode('SEND', { destination: '/topic/a' }, 'é한🎉'), 'SEND\ndestination:/topic/a\ncontent-length:9\n\né한🎉\0');
  assert.equal(encode('SEND', { destination: '/topic/a' }), 'SEND\ndestination:/topic/a\ncontent-length:0\n\n\0');
  assert.equal(encode('UNSUBSCRIBE', { id: '0', receipt: undefined }), 'UNSUBSCRIBE\nid:0\n\n\0');
  assert.equal(encode('SEND', { 'content-length': '99' }, 'x'), 'SEND\ncontent-length:1\n\nx\0');
  assert.deepEqual([...encode('SEND', {}, Uint8Array.of(0, 255, 10))],
    [...utf8.encode('SEND\ncontent-length:3\n\n'), 0, 255, 10, 0]);
});

test('F13 half a surrogate pair: the length is that of what a WebSocket makes of it', () => {
  assert.match(encode('SEND', {}, 'a\ud800'), /content-length:4\n/);
});

test('H03 H05 H07 H11 encode escapes names and values; decode is its inverse', () => {
  const headers = { 'a:b': 'f:o:o\nbar\rbaz\\foo', '\\n': '\\\\c', 'blank ': '  kept ' };
  assert.deepEqual(decode(encode('MESSAGE', headers))[0].headers, headers);
  const chars = ['\\', '\n', '\r', ':', 'n', 'c', 'r', 'é', '🎉'];
  for (let seed = 0; seed < 9 ** 4; seed += 1) {
    const text = [0, 1, 2, 3].map((place) => chars[Math.floor(seed / 9 ** place) % 9]).join('');
    assert.equal(unescape(escape(text)), text);
    assert.doesNotMatch(escape(text), /[\n\r:]/);
  }
});

test('H06 CONNECT is not escaped, and a header that cannot be expressed is refused', () => {
  assert.equal(encode('CONNECT', { passcode: 'a\\cb' }), 'CONNECT\npasscode:a\\cb\n\n\0');
  assert.throws(() => encode('CONNECT', { host: 'a\nb:c' }), StompError);
  assert.throws(() => encode('SEND', { nickname: 'a\0b' }), StompError);
});
