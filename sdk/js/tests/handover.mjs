// Servers that are replaced while a page sends and reads, read off the wire: its next connection is ready before the last
// one ends, and nothing is lost, doubled or out of order.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { agentRun } from "./agent-run.mjs";
import { startDeployment } from "./deployment.mjs";
import { openPage, startPacked } from "./packed.mjs";
import { early, record, sends } from "./wire.mjs";

const DEADLINE = { timeout: 120_000 };
const RESTARTS = 3;
/** How many sends are under way at once. */
const WINDOW = 8;
/** How many have to be acknowledged between two restarts. */
const BETWEEN = 100;
const WORDS = Array.from({ length: 20 }, (_, index) => `word${index}`);
const EVENTS = agentRun(WORDS);

let packed;
before(async () => {
  packed = await startPacked();
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

/**
 * Replaces servers under a page that sends and reads, while one of two servers is held back, and sees to it that nothing is
 * lost, doubled or out of order. Gives what passed, and what the application was told of it.
 */
async function restarted(t, held) {
  const deployment = await startDeployment(packed, held);
  t.after(() => deployment.stop());
  const { page, seen } = await openPage(packed, t, "/handover.html", record);
  await page.exposeFunction("restart", () => deployment.restart());
  await page.exposeFunction("moved", () => deployment.letThrough());
  const plan = { restarts: RESTARTS, between: BETWEEN, window: WINDOW, prompt: WORDS.join(" "), pace: 50 };
  const { results, received, gaps, answers, changes, sessions } = await page.evaluate(
    (given) => globalThis.sendThroughRestarts(...given),
    [deployment.url, await deployment.token("alice"), plan],
  );

  // The sender and the receiver.
  assert.deepEqual(results.filter((outcomes) => outcomes.length !== 1 || typeof outcomes[0] !== "number"), []);
  assert.ok(results.flat().every((id, index, ids) => index === 0 || id > ids[index - 1]), "the ids ascend");
  assert.ok(results.length > RESTARTS * BETWEEN);
  assert.deepEqual(received, results.map((_, index) => index));
  assert.equal(gaps, 0, "nothing is missing");
  for (const events of answers) assert.deepEqual(events, EVENTS);
  assert.equal(sessions.length, 1, "one session through all of it");

  // The wire.
  const { connections } = seen;
  assert.equal(connections.length, RESTARTS + 1);
  assert.deepEqual(connections.flatMap(early), [], "nothing before ready");
  const ids = new Map();
  for (const { id, event, payload } of connections.flatMap(sends)) {
    if (event !== "number") continue;
    if (ids.has(payload)) assert.equal(id, ids.get(payload), "what is sent twice keeps its id");
    ids.set(payload, id);
  }
  t.diagnostic(`${results.length} sends, ${connections.flatMap(sends).length} on the wire`);
  const pairs = connections.slice(1).map((next, index) => {
    const ready = next.find(({ direction, type }) => direction === "in" && type === "ready");
    return { former: connections[index], ready };
  });
  return { pairs, changes };
}

test(`${RESTARTS} servers are replaced: the next connection is ready before the last one ends, and nobody notices a pause`, DEADLINE, async (t) => {
  const { pairs, changes } = await restarted(t, "leaving");
  assert.deepEqual(changes.filter(({ state }) => state !== "processing_ready"), [], "ready all the time");
  for (const { former, ready } of pairs) {
    assert.ok(former.some(({ direction, type }) => direction === "in" && type === "drain"), "it was told");
    const byes = former.filter(({ type }) => type === "bye").map(({ direction, code, order }) => [direction, code, order > ready.order]);
    assert.deepEqual(byes, [["out", 4302, true]], "the client ends it, when the next is ready");
    assert.ok(!(former.end < ready.order));
    assert.ok(sends(former).every(({ order }) => order < ready.order), "from then on it sends on the next");
  }
});

test("what a server that leaves says last may come before the next one's ready, and loses nothing either", DEADLINE, async (t) => {
  const { pairs, changes } = await restarted(t, "next");
  assert.deepEqual(changes.flatMap(({ code }) => code ?? []), Array(RESTARTS).fill(4013));
  for (const { former, ready } of pairs) {
    const byes = former.filter(({ type }) => type === "bye").map(({ direction, code, order }) => [direction, code, order < ready.order]);
    assert.deepEqual(byes, [["in", 4013, true]]);
  }
});
