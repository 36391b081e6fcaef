// What a STOMP client is given in place of a broker's address: the only thing that a page changes to come to an edge.

import SockJS from 'sockjs-client';
import WebSocket from 'ws';
import { TCPWrapper } from '@stomp/tcp-wrapper';

// Browsers have one; Node.js only since 22. Clients find it under the same name.
globalThis.WebSocket = WebSocket;

/** React Native's WebSocket on some versions: text is cut at its first NUL, both ways (stomp.md Q14). */
class CuttingWebSocket extends WebSocket {
  send(data) {
    super.send(typeof data === 'string' ? data.split('\0')[0] : data);
  }

  set onmessage(listener) {
    super.onmessage = ({ data }) => listener({ data: typeof data === 'string' ? data.split('\0')[0] : data });
  }
}

const WITHOUT_WEBSOCKET = { transports: ['xhr-streaming', 'xhr-polling'] };

/**
 * By name: how @stomp/stompjs is configured for a URL, and how a socket for it is made for clients that want one.
 * `carriesBinary`: whether octets that are no UTF-8 come through; `hidesCloseCodes`: there are none.
 * `beatMs`: how often clients beat, where ten seconds are too seldom.
 */
export const transports = {
  websocket: {
    carriesBinary: true,
    stompjs: (url) => ({ brokerURL: url }),
    socket: (url, protocols) => {
      const socket = new WebSocket(url, protocols);
      // A browser's is silent where nobody listens for errors; this one would end the process.
      socket.addEventListener('error', () => {});
      return socket;
    },
  },
  'cut at NUL': {
    carriesBinary: true,
    stompjs: (url) => ({ webSocketFactory: () => new CuttingWebSocket(url, ['v12.stomp', 'v11.stomp', 'v10.stomp']) }),
  },
  sockjs: {
    carriesBinary: false,
    stompjs: (url) => ({ webSocketFactory: () => new SockJS(url) }),
    socket: (url) => new SockJS(url),
  },
  // Its fall-backs alone, as behind a proxy that lets no WebSocket pass.
  xhr: {
    carriesBinary: false,
    // Under Node.js it does not see that an answer breaks off: its next beat tells.
    beatMs: 1_000,
    stompjs: (url) => ({ webSocketFactory: () => new SockJS(url, undefined, WITHOUT_WEBSOCKET) }),
    socket: (url) => new SockJS(url, undefined, WITHOUT_WEBSOCKET),
  },
  tcp: {
    carriesBinary: true,
    hidesCloseCodes: true,
    stompjs: (url) => {
      const { hostname, port } = new URL(url);
      return { webSocketFactory: () => new TCPWrapper(hostname, Number(port)) };
    },
  },
};
