import assert from "node:assert/strict";
import { test } from "node:test";
import * as api from "../../build/api.js";
import { dial, outcome, ready } from "./scripted.mjs";

test("a send resolves at the acknowledgement, with its id", async () => {
  const { client, engine } = await ready();
  const sending = client.send("chat.message", { text: "a" });
  assert.deepEqual(engine.calls, [["send", 1, "chat.message", '{"text":"a"}', 0, 0, undefined, undefined]]);
  engine.sent(1, "in_flight", { id: 5 });
  assert.equal((await outcome(sending)).state, "pending");
  engine.sent(1, "acknowledged", { id: 5 });
  assert.deepEqual(await sending, { id: 5 });
});

test("each outcome has its class, and only the first counts", async () => {
  for (const [state, more, expected] of [
    ["refused", { code: "forbidden", message: "no", retry: true }, { name: "RefusedError", code: "forbidden", retryable: true, stage: "processing_ready" }],
    ["refused", { code: "too_many", retry: true, retryAfterMs: 1500 }, { name: "RefusedError", retryAfterMs: 1500 }],
    ["refused", { code: "too_many", retry: true }, { name: "RefusedError", retryAfterMs: null }],
    ["refused", { code: "service_impaired", retry: true, service: "search" }, { name: "ServiceImpairedError", code: "service_impaired", service: "search", retryable: true }],
    ["refused", { code: "queue_full" }, { name: "QueueFullError", code: "queue_full", retryable: true }],
    ["refused", { code: "not_ready", stage: "accepted" }, { name: "NotReadyError", stage: "accepted", retryable: true }],
    ["refused", { code: "closed" }, { name: "ClosedError" }],
    ["expired", {}, { name: "ExpiredError", retryable: true }],
    ["unknown", { id: 3, code: "session_lost" }, { name: "UnknownOutcomeError", code: "session_lost", id: 3, retryable: false }],
  ]) {
    const { client, engine } = await ready();
    const told = [];
    client.addEventListener("sendstate", (event) => told.push(event.detail.state));
    const sending = client.send("a", 1);
    engine.sent(1, state, more);
    for (const later of ["acknowledged", "refused", "unknown"]) engine.sent(1, later, { id: 9 });
    const { error } = await outcome(sending);
    assert.ok(error instanceof api.ReadywireError);
    assert.ok(error instanceof api[expected.name]);
    for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, name);
    assert.notEqual(error.remedy, "");
    assert.deepEqual(told, ["queued", state]);
  }
});

test("a send that is held says for which service, and goes on under another id", async () => {
  const { client, engine } = await ready();
  const told = [];
  client.addEventListener("sendstate", ({ detail: { state, id, service } }) => told.push([state, id, service]));
  const sending = client.send("search", "tea");
  engine.sent(1, "in_flight", { id: 1 });
  engine.report({ type: "send", handle: 1, state: "held", service: "search" });
  assert.equal((await outcome(sending)).state, "pending");
  engine.sent(1, "in_flight", { id: 2 });
  engine.sent(1, "acknowledged", { id: 2 });
  assert.deepEqual(await sending, { id: 2 });
  assert.deepEqual(told, [
    ["queued", null, null],
    ["in_flight", 1, null],
    ["held", null, "search"],
    ["in_flight", 2, null],
    ["acknowledged", 2, null],
  ]);
});

test("what is held when the client ends was never taken", async () => {
  const { client, engine } = await ready();
  const sending = client.send("search", "tea");
  engine.report({ type: "send", handle: 1, state: "held", service: "search" });
  engine.closed();
  assert.equal((await outcome(sending)).error.name, "ClosedError");
});

test("what JSON cannot say is a TypeError, and never reaches the engine", async () => {
  const { client, engine } = await ready();
  for (const payload of [undefined, () => {}, Symbol("s"), 1n]) {
    await assert.rejects(client.send("a", payload), TypeError);
    await assert.rejects(client.request("a", payload), TypeError);
    assert.throws(() => client.stream("a", payload), TypeError);
    assert.throws(() => client.trySend("a", payload), TypeError);
  }
  await assert.rejects(client.send("", 1), /event name/);
  assert.deepEqual(engine.calls, []);
});

test("policies, expiry and key reach the engine", async () => {
  const { client, engine } = await ready();
  client.send("a", null, { policy: "fail_fast", expireAfterMs: 1.5, key: "k" }).catch(() => {});
  client.send("a", null, { expireAfterMs: 0 }).catch(() => {});
  client.request("a", null).catch(() => {});
  assert.deepEqual(engine.calls, [
    ["send", 1, "a", "null", 2, 2, "k", undefined],
    ["send", 2, "a", "null", 0, 1, undefined, undefined],
    ["send", 3, "a", "null", 1, 0, undefined, undefined],
  ]);
});

test("trySend throws before ready, and names the stage", async () => {
  const { client, engine } = await dial();
  engine.state("authenticated", { pending: ["search"] });
  assert.throws(() => client.trySend("a", 1), (error) => {
    assert.ok(error instanceof api.NotReadyError);
    assert.match(error.message, /authenticated.*search/);
    assert.deepEqual([error.stage, error.pending], ["authenticated", ["search"]]);
    return true;
  });
  assert.deepEqual(engine.calls, []);
  engine.state("processing_ready");
  const sending = client.trySend("a", 1);
  engine.sent(1, "acknowledged", { id: 1 });
  await sending;
  engine.closed();
  assert.throws(() => client.trySend("a", 1), api.ClosedError);
});

test("a signal withdraws what was not written, with its own reason", async () => {
  const { client, engine } = await dial();
  engine.onAbandon = (handle) => engine.sent(handle, "refused", { code: "withdrawn" });
  const abort = new AbortController();
  const sending = client.send("a", 1, { signal: abort.signal });
  abort.abort(new Error("changed my mind"));
  assert.equal((await outcome(sending)).error.message, "changed my mind");
});

test("a signal makes what was written unknown", async () => {
  const { client, engine } = await ready();
  engine.onAbandon = (handle) => engine.sent(handle, "unknown", { code: "given_up" });
  const abort = new AbortController();
  const sending = client.send("a", 1, { signal: abort.signal });
  engine.sent(1, "in_flight", { id: 4 });
  abort.abort();
  const { error } = await outcome(sending);
  assert.ok(error instanceof api.UnknownOutcomeError);
  assert.deepEqual([error.id, error.code, error.cause.name], [4, "given_up", "AbortError"]);
});

test("a signal that is late, or early, does nothing", async () => {
  const { client, engine } = await ready();
  const abort = new AbortController();
  const sending = client.send("a", 1, { signal: abort.signal });
  engine.sent(1, "acknowledged", { id: 1 });
  abort.abort();
  await sending;
  await assert.rejects(client.send("a", 1, { signal: abort.signal }), { name: "AbortError" });
  await assert.rejects(client.request("a", 1, { signal: abort.signal }), { name: "AbortError" });
  await assert.rejects(client.stream("a", 1, { signal: abort.signal }).next(), { name: "AbortError" });
  assert.equal(engine.calls.length, 1);
});

test("the end of the client settles everything once", async () => {
  const { client, engine } = await ready();
  const states = [];
  client.addEventListener("sendstate", ({ detail }) => states.push(`${detail.handle} ${detail.state}`));
  const all = [client.send("a", 1), client.send("b", 1), client.request("c", 1), client.stream("d", 1).next()];
  engine.sent(2, "in_flight", { id: 1 });
  engine.sent(3, "acknowledged", { id: 2 });
  engine.sent(4, "acknowledged", { id: 3 });
  states.length = 0;
  engine.closed({ code: 4001, reason: "forbidden" });
  const names = (await Promise.all(all.map(outcome))).map(({ error }) => error.name);
  assert.deepEqual(names, ["ClosedError", "UnknownOutcomeError", "ClosedError", "ClosedError"]);
  assert.deepEqual(states, ["1 refused", "2 unknown"]);
  await assert.rejects(client.send("a", 1), api.ClosedError);
});

test("an outcome reported within the call is told after it", async () => {
  const order = [];
  const { client, engine } = await ready({ onsendstate: ({ state }) => order.push(state) });
  engine.onSend = (handle) => {
    engine.sent(handle, "in_flight", { id: 1 });
    engine.sent(handle, "acknowledged", { id: 1 });
    order.push("returned");
  };
  await client.send("a", 1);
  assert.deepEqual(order, ["returned", "queued", "in_flight", "acknowledged"]);
});

test("a send from within a callback keeps the order of events", async () => {
  const order = [];
  const { client, engine } = await ready({
    onmessage: (message) => {
      order.push(`message ${message.offset}`);
      if (message.offset === 1) client.send("a", 1).catch(() => {});
    },
    onsendstate: ({ state }) => order.push(state),
  });
  client.addEventListener("message", ({ detail }) => order.push(`event ${detail.offset}`));
  engine.onSend = () => engine.message(2, "m", null);
  engine.message(1, "m", null);
  assert.deepEqual(order, ["message 1", "event 1", "queued", "message 2", "event 2"]);
});
