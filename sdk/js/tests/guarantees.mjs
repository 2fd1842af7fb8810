// What the package promises, in a browser, against the real server, read off the wire: nothing is sent before ready,
// and nothing is lost, doubled or out of order, however often the connection is cut.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { agentRun } from "./agent-run.mjs";
import { openPage, startPacked } from "./packed.mjs";
import { early, record, sends } from "./wire.mjs";

const DEADLINE = { timeout: 120_000 };
const HELD = 20;
const MESSAGES = 1000;
const CUTS = 50;
/** How many sends are under way at once. */
const WINDOW = 24;
/** One word for each step; three more steps come behind them and one before. */
const WORDS = Array.from({ length: 196 }, (_, index) => `word${index}`);
const EVENTS = agentRun(WORDS);
/** Quick to come back, and patient with what waits: the cuts follow each other faster than any real network's would. */
const OPTIONS = {
  backoff: { firstMs: 10, baseMs: 10, capMs: 50 },
  queue: { messages: 2000, maxAgeMs: 60_000 },
};
/** Between two steps, so that the answer lasts through many cuts, as the messages do. */
const PACE_MS = 35;

const numbers = (count) => Array.from({ length: count }, (_, index) => String(index));

let packed;
before(async () => {
  packed = await startPacked(["--faults"]);
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

/** Opens the page, and keeps what its sockets carry. */
async function open(t) {
  const { page, seen: wire } = await openPage(packed, t, "/guarantees.html", record);
  return { page, wire, token: await packed.server.token("alice") };
}

/** The ids under which each text was written, over all connections. */
function idsOnTheWire(connections) {
  const ids = new Map();
  for (const { id, event, payload } of connections.flatMap(sends)) {
    if (event !== "chat.message") continue;
    if (!ids.has(payload.text)) ids.set(payload.text, new Set());
    ids.get(payload.text).add(id);
  }
  return ids;
}

function ascending(values) {
  return values.every((value, index) => index === 0 || value > values[index - 1]);
}

test(`${HELD} messages sent while services start are held until ready, then sent once and in order`, DEADLINE, async (t) => {
  const { server } = packed;
  await server.fault({ service_delay_ms: { search: 3000 } });
  t.after(() => server.fault({ reset: true }));
  const { page, wire, token } = await open(t);
  const { stateWhenSent, ids, received } = await page.evaluate(
    (given) => globalThis.sendAtOnce(...given),
    [server.url, token, HELD],
  );

  assert.equal(stateWhenSent, "connecting");
  assert.deepEqual(received, numbers(HELD));
  assert.ok(ascending(ids), `the ids ascend: ${ids}`);
  assert.equal(wire.connections.length, 1);
  const [frames] = wire.connections;
  const pending = frames.findIndex((frame) => frame.type === "stage" && frame.pending?.includes("search"));
  const ready = frames.findIndex((frame) => frame.direction === "in" && frame.type === "ready");
  assert.ok(pending >= 0 && pending < ready, "the services were starting");
  assert.deepEqual(early(frames), [], "no send before ready");
  const written = sends(frames).slice(0, HELD);
  assert.deepEqual(written.map(({ payload }) => payload.text), numbers(HELD));
  assert.deepEqual(written.map(({ id }) => id), ids);
  assert.equal(sends(frames).length, HELD + 1, "each once, and the one behind them");
});

test(`${MESSAGES} sends and an answer of ${EVENTS.length} messages survive ${CUTS} cuts: none lost, none doubled, all in order`, DEADLINE, async (t) => {
  const { server } = packed;
  const { page, wire, token } = await open(t);
  await page.exposeFunction("cut", () => server.fault({ cut: true }));
  const begun = performance.now();
  const plan = { messages: MESSAGES, window: WINDOW, cuts: CUTS, prompt: WORDS.join(" "), pace: PACE_MS, options: OPTIONS };
  const { results, received, answers, attempts, cuts, sessions } = await page.evaluate(
    (given) => globalThis.sendThroughCuts(...given),
    [server.url, token, plan],
  );
  const took = performance.now() - begun;

  // The sender: exactly one outcome each, all of them good, the ids in the order of the calls.
  assert.deepEqual(results.filter((outcomes) => outcomes.length !== 1 || typeof outcomes[0] !== "number"), []);
  assert.ok(ascending(results.flat()), "the ids ascend");
  // The receiver: lost, doubled or misplaced would all show here.
  assert.deepEqual(received, numbers(MESSAGES));
  // The answer, and any behind it: the same, and no offset twice.
  for (const steps of answers) {
    assert.deepEqual(steps.map(({ event }) => event), EVENTS);
    assert.deepEqual(steps.flatMap(({ word }) => word ?? []), WORDS);
  }
  const steps = answers.flat();
  assert.ok(ascending(steps.map(({ offset }) => offset)));

  // It was as hard as it claims to be.
  assert.equal(cuts, CUTS);
  assert.ok(attempts > CUTS, `${attempts} attempts`);
  assert.equal(wire.connections.length, attempts);
  assert.equal(sessions.length, 1, "one session through all of it");
  assert.ok(new Set(steps.map((step) => step.cuts)).size > CUTS / 2, "most cuts met an answer under way");

  // The wire: nothing before ready on any connection, and a send that is written again keeps its id.
  assert.deepEqual(wire.connections.flatMap(early), []);
  const ids = idsOnTheWire(wire.connections);
  assert.deepEqual([...ids].filter(([, ids]) => ids.size !== 1).map(([text]) => text), []);
  const writes = wire.connections.flatMap(sends).length;
  t.diagnostic(`${attempts} connections in ${Math.round(took)} ms; ${writes} sends on the wire for ${MESSAGES + answers.length + 1} calls`);
});
