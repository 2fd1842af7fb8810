// A connection in a page outlives its tokens. The same with the lives of real ones: `npm run measure:refresh`.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startPacked } from "./packed.mjs";
import { stay } from "./staying.mjs";

const DEADLINE = { timeout: 120_000 };
/** A claim tells whole seconds, so that this is 5 to 6 s; half of it is left for a machine that is busy. */
const TTL = "6s";
/** About one every 3 s. */
const REFRESHES = 4;

let packed;
before(async () => {
  packed = await startPacked();
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

test(`tokens of ${TTL}, ${REFRESHES} refreshes: no reconnect, no refusal`, DEADLINE, async (t) => {
  const { took, refreshes, echoes, demands, lives } = await stay(packed, TTL, (refreshes) => refreshes >= REFRESHES);
  assert.ok(echoes >= REFRESHES - 1 && lives.every((life) => life <= 6000));
  t.diagnostic(`${refreshes} refreshes in ${Math.round(took)} ms, ${demands} of them required by the server`);
});
