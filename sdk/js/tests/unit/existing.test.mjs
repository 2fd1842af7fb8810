// The client for servers that do not speak the protocol, over a scripted engine.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectExistingWith } from "../../build/existing.js";
import { ScriptedEngine } from "./scripted.mjs";

const load = async () => ScriptedEngine;
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function connecting(options) {
  const client = await connectExistingWith(load, "wss://example.org/ws", { resolveWhen: "dialling", ...options });
  return { client, engine: ScriptedEngine.latest };
}

test("the rule is asked at once, decoded, and what cannot be read has not said ready", async () => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error);
  const { engine } = await connecting({ decode: JSON.parse, readyWhen: (message) => message.type === "welcome" });
  assert.equal(engine.options.existing, true);
  assert.equal(engine.options.confirms, true);
  const ask = (text) => engine.onEvent('{"type":"rule"}', text);
  assert.equal(ask('{"type":"else"}'), false);
  assert.equal(ask("no JSON"), false);
  assert.equal(reported.length, 1, "an error of the application is not hidden");
  assert.equal(ask('{"type":"welcome"}'), true);
  delete globalThis.reportError;
});

test("a send resolves as written, and says that nobody acknowledged it", async () => {
  const { client, engine } = await connecting({ readyWhen: () => true, encode: JSON.stringify });
  engine.sendText = (handle, text) => {
    assert.equal(text, '{"n":1}');
    engine.report({ type: "send", handle, state: "written", attempt: 3 });
  };
  assert.deepEqual(await client.send({ n: 1 }), { acknowledged: false, attempt: 3 });
  engine.sendText = (handle) => engine.report({ type: "send", handle, state: "refused", code: "queue_full", retry: true });
  await assert.rejects(client.send({ n: 2 }), { name: "QueueFullError" });
  engine.sendText = (handle) => engine.report({ type: "send", handle, state: "expired" });
  await assert.rejects(client.send({ n: 3 }), { name: "ExpiredError" });
});

test("a signal withdraws what waits", async () => {
  const { client, engine } = await connecting({ readyWhen: () => true });
  const controller = new AbortController();
  engine.sendText = () => {};
  engine.onAbandon = (handle) => engine.report({ type: "send", handle, state: "refused", code: "withdrawn" });
  const sent = client.send("x", { signal: controller.signal });
  controller.abort(new Error("given up"));
  await assert.rejects(sent, /given up/);
});

test("the opening is asked for at each attempt", async () => {
  let asked = 0;
  const { engine } = await connecting({ encode: JSON.stringify, opening: async () => [{ token: ++asked }] });
  const given = [];
  engine.provideOpening = (number, messages) => given.push([number, JSON.parse(messages)]);
  for (const number of [1, 2]) {
    engine.report({ type: "token", number });
    await settled();
  }
  assert.deepEqual(given, [
    [1, { messages: ['{"token":1}'] }],
    [2, { messages: ['{"token":2}'] }],
  ]);
});

test("an opening that fails is told to the engine, final only if it says so", async () => {
  const failures = [new Error("not now"), Object.assign(new Error("never"), { retryable: false })];
  const { engine } = await connecting({ opening: () => { throw failures.shift(); } });
  engine.report({ type: "token", number: 1 });
  engine.report({ type: "token", number: 2 });
  await settled();
  assert.deepEqual(engine.named("failToken"), [["failToken", 1, 0, "not now"], ["failToken", 2, 4, "never"]]);
});

test("the application decides which end is for good", async () => {
  const { engine } = await connecting({ stopWhen: (code, reason) => code === 4403 && reason === "forbidden" });
  const ask = (code, reason) => engine.onEvent(JSON.stringify({ type: "stop", code }), reason);
  assert.equal(ask(4403, "forbidden"), true);
  assert.equal(ask(4403, ""), false);
});

test("ready() is per connection; without a rule there is none, and the state is unconfirmed", async () => {
  const { client, engine } = await connecting({ readyWhen: () => true });
  engine.state("processing_ready");
  await client.ready();
  engine.state("connecting", { code: 1006 });
  let again = false;
  const waiting = client.ready().then(() => (again = true));
  await settled();
  assert.equal(again, false);
  engine.state("processing_ready");
  await waiting;

  const plain = await connecting({});
  plain.engine.state("unconfirmed");
  assert.equal(plain.client.state, "unconfirmed");
  assert.equal(plain.client.ready, undefined);
  assert.equal(plain.client.last.stage, "connecting", "nothing was ever confirmed");
});

test("await using closes, and closing settles whatever waits", async () => {
  const { client, engine } = await connecting({ readyWhen: () => true });
  engine.sendText = () => {};
  const waiting = [client.ready(), client.send("a")];
  for (const promise of waiting) promise.catch(() => {});
  engine.onClose = () =>
    engine.report({ type: "closed", code: 1000, reason: "", clause: null, stage: "connecting", pending: [], retryable: false, remedy: "" });
  await client[Symbol.asyncDispose]();
  assert.deepEqual([client.state, engine.freed], ["closed", true]);
  await assert.rejects(waiting[0], { name: "ConnectError" });
  await assert.rejects(waiting[1], { name: "ClosedError" });
  for await (const message of client.messages()) assert.fail(message);
});

test("messages come as they are, or decoded, and early ones are kept for the first who listens", async () => {
  const { client, engine } = await connecting({ decode: JSON.parse });
  engine.onEvent('{"type":"text"}', '{"n":1}');
  const heard = [];
  client.addEventListener("message", ({ detail }) => heard.push(detail.n));
  await settled();
  engine.onEvent('{"type":"text"}', '{"n":2}');
  assert.deepEqual(heard, [1, 2]);
});
