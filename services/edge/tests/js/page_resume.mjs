// The page while its edge dies and another one takes over. node page_resume.mjs http://HOST:PORT COUNT
// The driver (tests/page.rs) says "before" at "speak"; at "kill" it kills the edge, says COUNT things elsewhere and starts
// an edge at the same address that does not remember them all.

import assert from 'node:assert/strict';
import { Reader, driver, run } from './page_kit.mjs';

const [base, count] = process.argv.slice(2);

await run(async (browser) => {
  const ada = await Reader.open(browser, `${base}/#room`, 'Ada');
  await ada.connection('live');
  await driver('speak');
  await ada.receives('before');
  await ada.write('mine');
  await ada.reaches('mine', 'seen');
  ada.outage = true;
  await driver('kill');
  await ada.connection('live');
  await ada.receives(`meanwhile ${count - 1}`);
  ada.outage = false;
  await ada.write('after');
  await ada.reaches('after', 'seen');
  const meanwhile = Array.from({ length: Number(count) }, (_, index) => `meanwhile ${index}`);
  assert.deepEqual((await ada.shown()).map(([, text]) => text), ['before', 'mine', ...meanwhile, 'after']);
  assert.equal(await ada.page.locator('.gap').count(), 0, 'nothing is missing, and the page does not say so');
  assert.deepEqual(ada.faults, []);
});
