// @stomp/stompjs 5, 6 and 7, and what is built on it: @stomp/rx-stomp.

/** Soon enough for a test; pages leave seconds. */
const RECONNECT_MS = 100;
const BEAT_MS = 10_000;

/** `name`: what package.json calls that major version. `options`: settings of its Client beside the address. */
export function stompjs(name, options = {}) {
  return {
    version: '1.2',
    carriesBinary: true,
    escapes: true,
    async open(transport, url, headers, tell) {
      const { Client } = await load(name);
      const client = new Client({
        ...transport.stompjs(url),
        connectHeaders: headers,
        reconnectDelay: RECONNECT_MS,
        heartbeatOutgoing: transport.beatMs ?? BEAT_MS,
        ...options,
        onConnect: (frame) => tell('connected', frame),
        onStompError: (frame) => tell('error', frame),
        onUnhandledReceipt: (frame) => tell('receipt', frame),
        onWebSocketClose: (close) => tell('closed', close),
      });
      client.activate();
      return {
        subscribe: (destination, more) => client.subscribe(destination, (message) => tell('message', message), more),
        send: (destination, more, body) => client.publish({ destination, headers: more, ...asBody(body) }),
        disconnect: () => client.deactivate(),
      };
    },
  };
}

/** Subscribes again by itself, and tells no close codes. */
export const rxStomp = {
  version: '1.2',
  carriesBinary: true,
  escapes: true,
  resubscribes: true,
  hidesCloseCodes: true,
  async open(transport, url, headers, tell) {
    const { RxStomp, RxStompState } = await load('@stomp/rx-stomp');
    const rx = new RxStomp();
    rx.configure({ ...transport.stompjs(url), connectHeaders: headers, reconnectDelay: RECONNECT_MS });
    let connected = {};
    rx.serverHeaders$.subscribe((of) => { connected = { headers: of }; });
    rx.connected$.subscribe(() => tell('connected', connected));
    rx.stompErrors$.subscribe((frame) => tell('error', frame));
    rx.unhandledReceipts$.subscribe((frame) => tell('receipt', frame));
    let open = false;
    rx.connectionState$.subscribe((state) => {
      if (state === RxStompState.CLOSED && open) tell('closed', {});
      open = state !== RxStompState.CLOSED;
    });
    rx.activate();
    return {
      subscribe: (destination, subHeaders) => rx.watch({ destination, subHeaders }).subscribe((message) => tell('message', message)),
      send: (destination, more, body) => rx.publish({ destination, headers: more, ...asBody(body) }),
      disconnect: () => rx.deactivate(),
    };
  },
};

function asBody(body) {
  return typeof body === 'string' ? { body } : { binaryBody: body };
}

/** Some are CommonJS, some are modules. */
async function load(name) {
  const module = await import(name);
  return module.default ?? module;
}
