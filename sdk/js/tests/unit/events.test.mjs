import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError } from "../../build/api.js";
import { BUFFER_LIMIT } from "../../build/iterators.js";
import { dial, ready, settle } from "./scripted.mjs";

test("state changes come to the option and to listeners, with everything known", async () => {
  const given = [];
  const { client, engine } = await dial({ onstatechange: (change) => given.push(change) });
  const heard = [];
  client.addEventListener("statechange", (event) => heard.push(event.detail));
  const before = Date.now();
  engine.state("authenticated", { pending: ["search"], reason: "starting", attempt: 2, retryInMs: null });
  assert.deepEqual(given, heard);
  const { at, ...change } = given[0];
  assert.ok(at >= before && at <= Date.now());
  assert.deepEqual(change, {
    state: "authenticated", previous: "connecting", pending: ["search"], impaired: [], reason: "starting", connection: "c1",
    attempt: 2, handover: false, retryInMs: null, code: null,
  });
  assert.deepEqual([client.state, client.pending, client.session], ["authenticated", ["search"], null]);
  engine.report({ type: "session", id: "s1", resumed: false });
  assert.equal(client.session, "s1");
  engine.closed({ code: 4001, stage: "authenticated" });
  assert.deepEqual([given.at(-1).state, given.at(-1).previous, given.at(-1).code], ["closed", "authenticated", 4001]);
});

test("closed is told once, whether or not the engine tells it as a state as well", async () => {
  for (const twice of [false, true]) {
    const states = [];
    const { engine } = await ready({ onstatechange: ({ state }) => states.push(state) });
    if (twice) engine.state("closed");
    engine.closed();
    assert.deepEqual(states.slice(-2), ["processing_ready", "closed"]);
  }
});

test("the end comes to the option too, behind everything else", async () => {
  const told = [];
  const { client, engine } = await ready({ onclose: ({ code, reason }) => told.push([code, reason, client.state]) });
  client.addEventListener("statechange", ({ detail }) => told.push(detail.state));
  engine.closed({ code: 4001, reason: "no" });
  assert.deepEqual(told, ["closed", [4001, "no", "closed"]]);
});

test("frames come to whoever looks", async () => {
  const frames = [];
  const { engine } = await dial({ onframe: (frame) => frames.push(frame) });
  engine.report({ type: "frame", direction: "in", text: "{}" });
  assert.equal(typeof frames[0].at, "number");
  assert.deepEqual({ ...frames[0], at: 0 }, { direction: "in", text: "{}", at: 0 });
  engine.report({ type: "frame", direction: "out", text: '{"type":"auth","token":"s3cret"}' });
  assert.equal(frames[1].text, '{"type":"auth","token":"…"}');
});

test("an error in a callback is reported and disturbs nothing", async () => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  try {
    const { client, engine } = await dial({ onstatechange: () => { throw new Error("mine"); } });
    const heard = [];
    client.addEventListener("statechange", ({ detail }) => heard.push(detail.state));
    engine.state("accepted");
    engine.state("authenticated");
    assert.deepEqual(heard, ["accepted", "authenticated"]);
    assert.deepEqual(reported, ["mine", "mine"]);
  } finally {
    delete globalThis.reportError;
  }
});

test("messages that come before anyone listens wait for the first reader", async () => {
  const { client, engine } = await ready();
  engine.message(1, "a", { n: 1 });
  const heard = [];
  client.addEventListener("message", ({ detail }) => heard.push(detail));
  engine.message(2, "a", { n: 2 });
  await settle();
  assert.deepEqual(heard, [{ event: "a", payload: { n: 1 }, offset: 1 }, { event: "a", payload: { n: 2 }, offset: 2 }]);

  const other = await ready();
  other.engine.message(1, "a", 1);
  const reader = other.client.messages();
  assert.equal((await reader.next()).value.offset, 1);
});

test("messages() ends with the client: quietly after close(), with the reason otherwise", async () => {
  const quiet = await ready();
  const reader = quiet.client.messages();
  quiet.engine.message(1, "a", 1);
  quiet.engine.closed();
  const offsets = [];
  for await (const message of reader) offsets.push(message.offset);
  assert.deepEqual(offsets, [1]);
  assert.equal((await quiet.client.messages().next()).done, true);

  const loud = await ready();
  const waiting = loud.client.messages().next();
  loud.engine.closed({ code: 4013, reason: "taken over" });
  await assert.rejects(waiting, ClosedError);
});

test("every reader gets every message, and a slow one fails alone", async () => {
  const { client, engine } = await ready();
  const slow = client.messages();
  const left = client.messages();
  await left.return();
  const offsets = [];
  client.addEventListener("message", ({ detail }) => offsets.push(detail.offset));
  for (let offset = 1; offset <= BUFFER_LIMIT + 1; offset++) engine.message(offset, "a", null);
  assert.equal(offsets.length, BUFFER_LIMIT + 1);
  await assert.rejects(
    async () => {
      for await (const _ of slow);
    },
    { name: "ReadywireError", code: "slow_consumer" },
  );
});

test("the page's life wakes the engine until the end", async () => {
  const page = new EventTarget();
  globalThis.document = Object.assign(page, { visibilityState: "hidden" });
  const scope = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener"]) globalThis[name] = scope[name].bind(scope);
  try {
    const { engine } = await ready();
    page.dispatchEvent(new Event("visibilitychange"));
    assert.equal(engine.named("wake").length, 0);
    page.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    scope.dispatchEvent(new Event("online"));
    scope.dispatchEvent(new Event("pageshow"));
    assert.equal(engine.named("wake").length, 3);
    engine.closed();
    page.dispatchEvent(new Event("visibilitychange"));
    scope.dispatchEvent(new Event("online"));
    assert.equal(engine.named("wake").length, 3);
  } finally {
    for (const name of ["document", "addEventListener", "removeEventListener"]) delete globalThis[name];
  }
});
