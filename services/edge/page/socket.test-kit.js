// A WebSocket for tests: says what it is told, and keeps what it was sent.

import { Decoder, encode } from './frame.js';

/** All that were opened; to be emptied between two tests. */
export const sockets = [];

export class Socket {
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, frames: [], beats: 0, closed: false });
    this.decoder = new Decoder();
    sockets.push(this);
  }

  send(data) {
    if (data === '\n') this.beats += 1;
    else this.frames.push(...this.decoder.push(data));
  }

  close() {
    this.closed = true;
  }

  says(command, headers, body) {
    this.onmessage({ data: encode(command, headers, body) });
  }

  welcome(heartBeat = '0,0', more = {}) {
    this.onopen({});
    this.says('CONNECTED', { version: '1.2', 'heart-beat': heartBeat, 'user-name': 'ada', ...more });
  }

  ends(code) {
    this.onclose({ code, reason: '' });
  }
}
