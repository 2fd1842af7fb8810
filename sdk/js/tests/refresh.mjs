// A connection in a page outlives its tokens. The same with the lives of real ones: `npm run measure:refresh`.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startPacked } from "./packed.mjs";
import { stay } from "./staying.mjs";

const DEADLINE = { timeout: 120_000 };
/** About one each second. */
const REFRESHES = 9;

let packed;
before(async () => {
  packed = await startPacked();
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

test(`tokens of 2 s, ${REFRESHES} refreshes: no reconnect, no refusal`, DEADLINE, async (t) => {
  const { took, refreshes, echoes, demands, lives } = await stay(packed, "2s", (refreshes) => refreshes >= REFRESHES);
  assert.ok(echoes >= REFRESHES - 1 && lives.every((life) => life <= 2000));
  t.diagnostic(`${refreshes} refreshes in ${Math.round(took)} ms, ${demands} of them required by the server`);
});
