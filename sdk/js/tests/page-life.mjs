// The life of a page, in a real browser against the real server: it is reloaded, duplicated, frozen and taken offline.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { agentRun } from "./agent-run.mjs";
import { openFreezable } from "./freezable.mjs";
import { startPacked } from "./packed.mjs";
import WebSocket from "ws";
import { early, record, sends } from "./wire.mjs";

const DEADLINE = { timeout: 120_000 };
const WORDS = Array.from({ length: 40 }, (_, index) => `word${index}`);
const STEPS = agentRun(WORDS);
/** Slow enough that a page is gone long before its answer is. */
const PACE_MS = 150;
const QUICK = { backoff: { firstMs: 20, baseMs: 20, capMs: 100 } };

let packed;
before(async () => {
  packed = await startPacked(["--faults"]);
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

async function openContext(t) {
  const context = await packed.browser.newContext();
  t.after(() => context.close());
  await context.exposeFunction("freshToken", () => packed.server.token("alice"));
  return context;
}

async function openPage(context) {
  const page = await context.newPage();
  const wire = record(page);
  await page.goto(`${packed.pages.origin}/page-life.html`);
  return { page, wire };
}

const begin = (page, options = {}) =>
  page.evaluate((given) => globalThis.open(...given), [packed.server.url, { ...QUICK, ...options }]);
const told = (page) => page.evaluate(() => globalThis.told);

/** Waits until what the page was told fulfils a condition. */
async function until(page, condition, argument) {
  await page.waitForFunction(condition, argument, { polling: 20, timeout: 30_000 });
  return told(page);
}

/** Tells alice something, whether she is there or not. */
async function notify(payload) {
  const answer = await fetch(`${packed.server.origin}/notify`, {
    method: "POST",
    headers: { authorization: `Bearer ${await packed.server.token("news")}` },
    body: JSON.stringify({ subject: "alice", event: "news", payload }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

test("a session goes on over a reload, and so does an answer that was half told", DEADLINE, async (t) => {
  const context = await openContext(t);
  const { page, wire } = await openPage(context);
  const { session } = await begin(page, { carryOver: "chat" });
  const ids = [await page.evaluate(() => globalThis.send("before"))];
  await page.evaluate((given) => globalThis.run(...given), [WORDS.join(" "), PACE_MS]);
  await until(page, () => globalThis.told.parts.length >= 8);

  await page.reload();
  await notify("while nobody is there");
  const next = await begin(page, { carryOver: "chat" });
  assert.equal(next.session, session, "the same session");
  assert.deepEqual(next.openAnswers.map(({ event }) => event), ["agent.run"]);
  await page.evaluate((id) => globalThis.attach(id), next.openAnswers[0].id);
  ids.push(await page.evaluate(() => globalThis.send("after")));
  const after = await until(page, () => globalThis.told.end !== null);

  assert.equal(after.end, "end");
  assert.deepEqual(after.sessions, [{ id: session, resumed: true, lost: null }]);
  assert.deepEqual(after.messages.map(({ payload }) => payload), ["while nobody is there"]);
  // What the first page had and had not said to hold comes again; its offset tells.
  const parts = await page.evaluate(() => JSON.parse(localStorage.getItem("parts")));
  const seen = new Map(parts.map(({ event, offset }) => [offset, event]));
  assert.deepEqual([...seen].sort(([a], [b]) => a - b).map(([, event]) => event), STEPS);
  assert.ok(after.parts.length < STEPS.length, "not from its beginning");
  assert.ok(ids[1] > ids[0], `an id of its own: ${ids}`);
  assert.deepEqual(wire.connections.flatMap(early), []);

  await page.evaluate(() => globalThis.close());
  await page.reload();
  const fresh = await begin(page, { carryOver: "chat" });
  assert.notEqual(fresh.session, session, "a session that was closed is over");
  assert.deepEqual((await told(page)).sessions, [{ id: fresh.session, resumed: false, lost: null }]);
});

/** Ends a session that a page has left, as its owner in another place would. */
async function endSession({ session, token, attempt, inbox }) {
  const auth = { token: await packed.server.token("alice") };
  const socket = new WebSocket(packed.server.url, ["readywire.v1"]);
  const hello = { type: "hello", auth, capabilities: ["resume"], resume: { session, token, attempt: attempt + 1, inbox } };
  socket.on("open", () => socket.send(JSON.stringify(hello)));
  await new Promise((resolve, reject) => {
    socket.on("message", (text) => {
      const frame = JSON.parse(text);
      if (frame.type !== "ready") return;
      if (!frame.session.resumed) reject(new Error("the session is not there"));
      socket.send(JSON.stringify({ type: "bye", code: 1000 }));
    });
    socket.on("close", resolve);
    socket.on("error", reject);
  });
}

test("without being asked nothing is kept over a reload", DEADLINE, async (t) => {
  const context = await openContext(t);
  const { page, wire } = await openPage(context);
  const first = await begin(page);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.reload();
  const second = await begin(page);
  assert.notEqual(second.session, first.session);
  assert.equal(wire.connections.length, 2);
});

test("a duplicated tab begins a session of its own, and disturbs nobody", DEADLINE, async (t) => {
  const context = await openContext(t);
  const { page } = await openPage(context);
  const first = await begin(page, { carryOver: "chat" });
  // As a browser duplicates a tab: with a copy of its storage.
  const { page: copy } = await openPage(context);
  const storage = await page.evaluate(() => Object.entries(sessionStorage));
  assert.deepEqual(storage.map(([name]) => name), ["readywire:chat"]);
  await copy.evaluate((entries) => entries.forEach((entry) => sessionStorage.setItem(...entry)), storage);
  const second = await begin(copy, { carryOver: "chat" });
  assert.notEqual(second.session, first.session);
  await page.evaluate(() => globalThis.send("still here"));
  assert.deepEqual((await told(page)).sessions, [{ id: first.session, resumed: false, lost: null }]);
  assert.ok((await told(page)).states.every(({ attempt }) => attempt <= 1), "it was not cut");
  // Each keeps its own from now on.
  await copy.reload();
  assert.equal((await begin(copy, { carryOver: "chat" })).session, second.session);
});

test("a session that is over meanwhile is told as lost, and so are its answers", DEADLINE, async (t) => {
  const context = await openContext(t);
  const { page } = await openPage(context);
  const { session } = await begin(page, { carryOver: "chat" });
  await page.evaluate((given) => globalThis.run(...given), [WORDS.join(" "), 1000]);
  await page.waitForFunction(() => JSON.parse(sessionStorage.getItem("readywire:chat")).answers.length === 1);
  // What the page that is gone stored last: what it has said to hold since an earlier look cannot be resumed from there.
  await page.reload();
  const { state, answers } = await page.evaluate(() => JSON.parse(sessionStorage.getItem("readywire:chat")));
  await endSession(JSON.parse(state));
  const next = await begin(page, { carryOver: "chat" });
  await page.evaluate((id) => globalThis.attach(id), answers[0].id);
  const { sessions, end } = await until(page, () => globalThis.told.end !== null);
  assert.deepEqual(sessions, [{ id: next.session, resumed: false, lost: session }]);
  assert.equal(end, "session_lost");
});

test("a frozen page comes back once, with a fresh token, and misses nothing", DEADLINE, async (t) => {
  const page = await openFreezable(packed.browser, `${packed.pages.origin}/page-life.html`);
  t.after(() => page.close());
  await page.evaluate((token) => void (globalThis.freshToken = () => token), await packed.server.token("alice"));
  const { session } = await page.evaluate((given) => globalThis.open(...given), [packed.server.url, QUICK]);
  await page.freeze();
  await packed.server.fault({ cut: true, subject: "alice" });
  for (const number of [1, 2, 3]) await notify(number);
  const frozen = await page.evaluate(() => globalThis.told);
  assert.deepEqual([frozen.states.at(-1).state, frozen.tokens], ["processing_ready", 1], "it has seen nothing of all that");
  await page.thaw();
  await page.until(() => globalThis.told.messages.length >= 3);
  const { messages, sessions, states, tokens } = await page.evaluate(() => globalThis.told);
  assert.deepEqual(messages.map(({ payload }) => payload), [1, 2, 3]);
  assert.deepEqual(messages.map(({ offset }) => offset), [1, 2, 3]);
  assert.deepEqual(sessions.map(({ id, resumed }) => [id, resumed]), [[session, false], [session, true]]);
  assert.equal(Math.max(...states.map(({ attempt }) => attempt)), 2, "one reconnect");
  assert.equal(tokens, 2, "a fresh token for it");
});

test("a page that goes offline finds out in seconds, and is back as soon as it is online", DEADLINE, async (t) => {
  const context = await openContext(t);
  const { page, wire } = await openPage(context);
  // Patience in minutes: only the wake-up can be what brings it back soon.
  await begin(page, { backoff: { firstMs: 600_000, baseMs: 600_000, capMs: 600_000 } });
  await context.setOffline(true);
  await packed.server.fault({ cut: true, subject: "alice" });
  await until(page, () => globalThis.told.states.at(-1).state === "connecting");
  await page.evaluate(() => void globalThis.send("queued").then((id) => (globalThis.told.end = id)));
  await context.setOffline(false);
  const { end, sessions } = await until(page, () => globalThis.told.end !== null);
  assert.equal(typeof end, "number");
  assert.equal(sessions.at(-1).resumed, true);
  assert.equal(wire.connections.flatMap(sends).length, 1, "written once");
  assert.deepEqual(wire.connections.flatMap(early), []);
});

test("every wake-up of an idle page probes the connection that it has, and leaves it", DEADLINE, async (t) => {
  const context = await openContext(t);
  const { page, wire } = await openPage(context);
  await begin(page);
  const probes = (connections) => connections[0].filter(({ direction, type }) => direction === "out" && type === "ping").length;
  const answers = (connections) => connections[0].filter(({ direction, type }) => direction === "in" && type === "pong").length;
  for (const [count, dispatch] of [
    () => window.dispatchEvent(new Event("online")),
    () => window.dispatchEvent(new Event("offline")),
    () => document.dispatchEvent(new Event("visibilitychange")),
    () => document.dispatchEvent(new Event("resume")),
    () => window.dispatchEvent(new Event("pageshow")),
  ].entries()) {
    await page.evaluate(dispatch);
    await wire.until((connections) => probes(connections) === count + 1 && answers(connections) === count + 1);
  }
  assert.equal(wire.connections.length, 1);
});
