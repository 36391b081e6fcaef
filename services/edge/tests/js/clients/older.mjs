// stompjs 2.3.3 and webstomp-client: one socket, one session. They do not come back by themselves; a page that uses them
// connects anew with another socket, as it is done here.

import Stomp from 'stompjs';
import webstomp from 'webstomp-client';

const RECONNECT_MS = 100;

/** 1.1 at most; splits frames at 16 KiB; neither escapes nor unescapes. */
export const stompjs2 = {
  version: '1.1',
  open(transport, url, headers, tell) {
    return reopening(transport, url, ['v10.stomp', 'v11.stomp'], headers, tell, {
      over: (socket) => Object.assign(Stomp.over(socket), { debug: null }),
      send: (client, destination, more, body) => client.send(destination, { ...more }, body),
      disconnect: (client) => client.disconnect(),
    });
  },
};

/** Asks for the version that the subprotocol names; splits frames at 16 KiB, binary ones inside of characters too. */
export function webstompClient(options = {}) {
  const protocols = ['v10.stomp', 'v11.stomp', 'v12.stomp'];
  return {
    version: '1.2',
    open(transport, url, headers, tell) {
      return reopening(transport, url, protocols, headers, tell, {
        over: (socket) => webstomp.over(socket, { debug: false, ...options }),
        send: (client, destination, more, body) => client.send(destination, body, more),
        disconnect: (client) => client.disconnect(undefined, { receipt: 'bye' }),
      });
    },
  };
}

function reopening(transport, url, protocols, headers, tell, { over, send, disconnect }) {
  let client;
  let leaves = false;
  const open = () => {
    const socket = transport.socket(url, protocols);
    client = over(socket);
    if (transport.beatMs) client.heartbeat = { ...client.heartbeat, outgoing: transport.beatMs };
    client.onreceipt = (frame) => tell('receipt', frame);
    // Their callback for errors gets ERROR frames, and once more something else when the socket closes.
    const failed = (what) => { if (what.command === 'ERROR') tell('error', what); };
    client.connect({ ...headers }, (frame) => tell('connected', frame), failed);
    // disconnect() takes its own listener off the socket, which stays the page's.
    socket.addEventListener('close', (close) => {
      tell('closed', close);
      if (!leaves) setTimeout(open, RECONNECT_MS);
    });
  };
  open();
  return {
    subscribe: (destination, more) => client.subscribe(destination, (message) => tell('message', message), { ...more }),
    send: (destination, more, body) => send(client, destination, more, body),
    disconnect: () => {
      leaves = true;
      if (client.connected) disconnect(client);
    },
  };
}
