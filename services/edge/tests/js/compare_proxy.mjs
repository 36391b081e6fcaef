// Stands between the page of the four ways and its edge: counts what really goes by, by way, and can hold up who comes back.

import { connect, createServer } from 'node:net';

const WAYS = [[/\/messages\?/, 'polling'], [/\/events/, 'events'], [/\/socket/, 'socket'], [/^\/ws$/, 'stomp']];
const STREAMS = ['events', 'socket', 'stomp'];

/** The HTTP/1.1 messages of one direction, cut out of octets however they come: `done(firstLine, octets)` for each. */
class Messages {
  #rest = Buffer.alloc(0);

  constructor(done) {
    this.done = done;
  }

  push(chunk) {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = this.#rest.toString('latin1', 0, end);
      const length = / 304 /.test(head.split('\r\n')[0]) ? 0 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      const octets = end + 4 + length;
      if (this.#rest.length < octets) return;
      this.#rest = this.#rest.subarray(octets);
      this.done(head.split('\r\n')[0], octets);
    }
  }
}

export class Proxy {
  /** `{ sent, received, requests }` by way, as the client sees it. */
  wire = Object.fromEntries(WAYS.map(([, way]) => [way, { sent: 0, received: 0, requests: 0 }]));
  #held; // those who wait, while they are held up
  #server;
  #edge;

  /** `edge`: HOST:PORT. */
  static async before(edge) {
    const proxy = new Proxy();
    const [host, port] = edge.split(':');
    proxy.#edge = { host, port: Number(port) };
    proxy.#server = createServer((client) => proxy.#serve(client));
    await new Promise((listening) => { proxy.#server.listen(0, '127.0.0.1', listening); });
    proxy.base = `http://127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  /** Streams that are opened from now on get no further than here. */
  hold() {
    this.#held = [];
  }

  release() {
    this.#held.splice(0).forEach((go) => go());
    this.#held = undefined;
  }

  get held() {
    return this.#held.length;
  }

  close() {
    this.#server.close();
  }

  #serve(client) {
    client.setNoDelay(true);
    let edge;
    let stream; // the way, once it is known that this connection is one
    const asked = [];
    const requests = new Messages((line, octets) => {
      const way = wayOf(line);
      asked.push(way);
      if (!way) return;
      this.wire[way].requests += 1;
      if (STREAMS.includes(way)) stream = way;
      else this.wire[way].sent += octets;
    });
    const answers = new Messages((line, octets) => {
      const way = asked.shift();
      if (way) this.wire[way].received += octets;
    });
    // An end is handed on as it came, FIN or reset, unless that side has been given up here.
    const join = (one, other, isOpen = () => true) => {
      one.on('end', () => isOpen() && other().end());
      one.on('error', () => isOpen() && other().resetAndDestroy());
      one.on('close', () => isOpen() && other().destroy());
    };
    const attach = (to) => {
      edge = to;
      edge.setNoDelay(true);
      edge.on('data', (chunk) => {
        if (stream) this.wire[stream].received += chunk.length;
        else answers.push(chunk);
        client.write(chunk);
      });
      join(edge, () => client, () => edge === to);
    };
    client.on('data', async (chunk) => {
      const before = stream;
      if (!stream) requests.push(chunk);
      if (stream) this.wire[stream].sent += chunk.length;
      if (stream && !before && this.#held) {
        // The edge would end a connection on which nothing is asked for so long.
        const idle = edge;
        edge = undefined;
        idle.destroy();
        await new Promise((go) => { this.#held.push(go); });
        attach(connect(this.#edge));
      }
      edge.write(chunk);
    });
    join(client, () => edge, () => edge);
    attach(connect(this.#edge));
  }
}

function wayOf(line) {
  const [method, target] = line.split(' ');
  return method === 'GET' ? WAYS.find(([pattern]) => pattern.test(target))?.[1] : undefined;
}
