// Questions of the server in a browser, against the real server: answered over cuts, withdrawn, and left by a reload.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, startPacked } from "./packed.mjs";

const DEADLINE = { timeout: 120_000 };
const QUESTIONS = 12;

let packed;
before(async () => {
  packed = await startPacked(["--faults"]);
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

async function open(t) {
  const { page } = await openPage(packed, t, "/questions.html", () => {});
  const token = await packed.server.token("alice");
  await page.exposeFunction("cut", () => packed.server.fault({ cut: true }));
  return { page, call: (name, ...given) => page.evaluate(([name, given]) => globalThis[name](...given), [name, [packed.server.url, token, ...given]]) };
}

test(`${QUESTIONS} questions, each over a cut, JSON and bytes: each is asked and answered once`, DEADLINE, async (t) => {
  const { call } = await open(t);
  const { asked, answered, attempts } = await call("answerOverCuts", QUESTIONS);
  const numbers = Array.from({ length: QUESTIONS }, (_, number) => number);
  assert.deepEqual(asked, numbers);
  assert.deepEqual(answered, numbers);
  assert.ok(attempts > QUESTIONS, `${attempts} attempts`);
});

test("a question whose time is over stops its handler, and its asker is told", DEADLINE, async (t) => {
  const { call } = await open(t);
  assert.deepEqual(await call("tooLate", 100), { reason: "AbortError", told: { code: "deadline" } });
});

test("what nobody answers is told, and so is what the handler throws", DEADLINE, async (t) => {
  const { call } = await open(t);
  assert.deepEqual(await call("unanswered"), [{ code: "unhandled" }, { code: "declined" }]);
});

test("a page that is reloaded while it is asked leaves nobody waiting", DEADLINE, async (t) => {
  const { page, call } = await open(t);
  await call("begin");
  await page.waitForFunction(() => globalThis.asked === 1);
  await page.reload();
  assert.deepEqual(await call("goOn"), { code: "unhandled" });
});
