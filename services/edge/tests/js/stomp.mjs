// @stomp/stompjs clients, steered by JSON objects, one a line. What they see is written the same way.
//
//   {"do": "connect", "client": "a", "url": "ws://127.0.0.1:1/ws"}                 → {"event": "connected", "client": "a", …}
//   {"do": "subscribe", "client": "a", "destination": "/topic/x", "headers": {}}   → "receipt" if the headers ask for one
//   {"do": "send", "client": "a", "destination": "/topic/x", "body": "…", "headers": {}}
//   {"do": "disconnect", "client": "a"}                                            → "receipt", then "closed"
//
// Events: connected, message, receipt, error (each with the frame's headers), closed (with code and reason).

import { createInterface } from "node:readline";
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

const clients = new Map();

function tell(event, client, more) {
  process.stdout.write(`${JSON.stringify({ event, client, ...more })}\n`);
}

function connect({ client: name, url, headers }) {
  const client = new Client({
    webSocketFactory: () => new WebSocket(url, ["v12.stomp", "v11.stomp", "v10.stomp"]),
    connectHeaders: headers ?? {},
    reconnectDelay: 0,
    heartbeatIncoming: 10_000,
    heartbeatOutgoing: 10_000,
    onConnect: (frame) => tell("connected", name, { headers: frame.headers }),
    onStompError: (frame) => tell("error", name, { headers: frame.headers, body: frame.body }),
    onUnhandledReceipt: (frame) => tell("receipt", name, { headers: frame.headers }),
    onWebSocketError: (error) => tell("socket-error", name, { message: String(error.message ?? error) }),
    onWebSocketClose: (close) => tell("closed", name, { code: close.code, reason: String(close.reason) }),
  });
  clients.set(name, client);
  client.activate();
}

const actions = {
  connect,
  subscribe: ({ client, destination, headers }) =>
    clients.get(client).subscribe(
      destination,
      (message) => tell("message", client, { headers: message.headers, body: message.body }),
      headers ?? {},
    ),
  send: ({ client, destination, body, headers }) => clients.get(client).publish({ destination, body, headers }),
  disconnect: ({ client }) => clients.get(client).deactivate(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  actions[command.do](command);
}
process.exit(0);
