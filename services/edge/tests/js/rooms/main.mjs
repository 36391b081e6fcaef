// One client from npm in a room: node main.mjs '{"client": "eventsource", "url": …}' (tests/rooms_clients.rs).

import { clients } from './clients.mjs';
import { converse, run } from './dialogue.mjs';

const plan = JSON.parse(process.argv[2]);
await run(() => converse(clients[plan.client], plan));
