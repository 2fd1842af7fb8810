// Streams in a browser, against the real server: over cuts, at the pace of the handler, and stopped.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, startPacked } from "./packed.mjs";

const DEADLINE = { timeout: 120_000 };
const PARTS = 400;
const CUT_EVERY = 100;
/** What the server lets be written and not read. */
const WINDOW = 64;

let packed;
before(async () => {
  packed = await startPacked(["--faults"]);
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

async function open(t) {
  const { page } = await openPage(packed, t, "/streams.html", () => {});
  return { page, token: await packed.server.token("alice") };
}

test(`${PARTS} parts, JSON and bytes, over ${PARTS / CUT_EVERY} cuts: each once, in order`, DEADLINE, async (t) => {
  const { page, token } = await open(t);
  await page.exposeFunction("cut", () => packed.server.fault({ cut: true }));
  const { numbers, attempts } = await page.evaluate(
    (given) => globalThis.relay(...given),
    [packed.server.url, token, PARTS, CUT_EVERY],
  );
  assert.deepEqual(numbers, Array.from({ length: PARTS }, (_, number) => number));
  assert.ok(attempts > PARTS / CUT_EVERY, `${attempts} attempts`);
});

test("a source is asked no further than the handler reads", DEADLINE, async (t) => {
  const { page, token } = await open(t);
  const { asked, back, ahead } = await page.evaluate((given) => globalThis.pace(...given), [packed.server.url, token, PARTS]);
  assert.deepEqual([asked, back], [PARTS, PARTS]);
  assert.ok(ahead > 1, "it did not wait for each answer");
  // What is read has still to be answered, and the answer to come; what waits is one.
  assert.ok(ahead < 3 * WINDOW, `${ahead} ahead`);
});

test("leaving the loop stops the stream, and the next is none the wiser", DEADLINE, async (t) => {
  const { page, token } = await open(t);
  const { late, next } = await page.evaluate((given) => globalThis.stop(...given), [packed.server.url, token]);
  assert.equal(late, "stream_over");
  assert.deepEqual(next, ["a", "b"]);
});
