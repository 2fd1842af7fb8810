import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError, ClosedError } from "../../build/api.js";
import { connectWith } from "../../build/connect.js";
import { once } from "../../build/once.js";
import { ScriptedEngine, dial, load, outcome, ready, settle } from "./scripted.mjs";

const URL_ = "ws://localhost/ws";

test("connect resolves at ready, not before", async () => {
  const connecting = connectWith(load, URL_, {});
  await settle();
  for (const state of ["accepted", "authenticated", "services_ready"]) {
    ScriptedEngine.latest.state(state);
    assert.equal((await outcome(connecting)).state, "pending");
  }
  ScriptedEngine.latest.state("processing_ready");
  assert.equal((await connecting).state, "processing_ready");
});

test("degraded is ready too", async () => {
  const connecting = connectWith(load, URL_, {});
  await settle();
  ScriptedEngine.latest.state("degraded", { impaired: ["search"] });
  const client = await connecting;
  assert.deepEqual(client.impaired, ["search"]);
});

test("an end before ready tells how far it came and what to do", async () => {
  const connecting = connectWith(load, URL_, {});
  connecting.catch(() => {});
  await settle();
  ScriptedEngine.latest.closed({
    code: 4201, reason: "not ready in time", clause: "ready.deadline", stage: "authenticated", pending: ["search"],
    retryable: true, remedy: "look at search",
  });
  const { error } = await outcome(connecting);
  assert.ok(error instanceof ConnectError);
  assert.equal(error.name, "ConnectError");
  assert.match(error.message, /authenticated.*search.*4201 not ready in time/);
  const { stage, code, clause, retryable, remedy, pending } = error;
  assert.deepEqual(
    { stage, code, clause, retryable, remedy, pending },
    { stage: "authenticated", code: 4201, clause: "ready.deadline", retryable: true, remedy: "look at search", pending: ["search"] },
  );
});

test("a timeout tells how far it came, any other reason stands for itself", async () => {
  for (const [reason, check] of [
    [new DOMException("late", "TimeoutError"), (error) => {
      assert.ok(error instanceof ConnectError);
      assert.deepEqual([error.code, error.stage, error.pending, error.cause.name], ["timeout", "authenticated", ["search"], "TimeoutError"]);
    }],
    [new Error("left the page"), (error) => assert.equal(error.message, "left the page")],
  ]) {
    const abort = new AbortController();
    const connecting = connectWith(load, URL_, { signal: abort.signal });
    await settle();
    const engine = ScriptedEngine.latest;
    engine.onClose = () => {
      engine.state("closed");
      engine.closed({ stage: "authenticated", pending: ["search"] });
    };
    engine.state("authenticated", { pending: ["search"] });
    abort.abort(reason);
    check((await outcome(connecting)).error);
    assert.deepEqual(engine.named("close"), [["close", 0]]);
    assert.ok(engine.freed);
  }
});

test("readyTimeoutMs bounds the wait, then lets the client be", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const late = connectWith(load, URL_, { readyTimeoutMs: 50 });
  late.catch(() => {});
  await settle();
  const engine = ScriptedEngine.latest;
  engine.state("accepted");
  context.mock.timers.tick(50);
  await assert.rejects(late, { name: "ConnectError", code: "timeout", stage: "accepted" });
  assert.deepEqual(engine.named("close"), [["close", 0]]);

  const inTime = connectWith(load, URL_, { readyTimeoutMs: 50 });
  await settle();
  ScriptedEngine.latest.becomeReady();
  await inTime;
  context.mock.timers.tick(50);
  assert.deepEqual(ScriptedEngine.latest.calls, []);
});

test("a signal that aborts while the module loads ends the attempt before an engine exists", async () => {
  ScriptedEngine.latest = undefined;
  const abort = new AbortController();
  const connecting = connectWith(() => new Promise(() => {}), URL_, { signal: abort.signal });
  abort.abort();
  assert.equal((await outcome(connecting)).error.name, "AbortError");
  assert.equal(ScriptedEngine.latest, undefined);
});

test("the signal closes a connected client", async () => {
  const abort = new AbortController();
  const { client, engine } = await ready({ signal: abort.signal });
  engine.onClose = () => engine.closed();
  abort.abort();
  assert.equal(client.state, "closed");
});

test("a module that cannot be loaded is an error of its own, and the next attempt tries again", async () => {
  let starts = 0;
  const loader = once(async () => {
    starts++;
    if (starts === 1) throw new Error("404");
    return ScriptedEngine;
  });
  await assert.rejects(connectWith(loader, URL_, {}), { name: "ConnectError", code: "wasm_unavailable" });
  await connectWith(loader, URL_, { resolveWhen: "dialling" });
  await connectWith(loader, URL_, { resolveWhen: "dialling" });
  assert.equal(starts, 2);
});

test("options reach the engine flat, addresses absolute", async () => {
  await connectWith(load, "https://example.org/ws#here", {
    resolveWhen: "dialling", helloInUpgrade: false, queue: { messages: 5, maxAgeMs: 9 }, backoff: { capMs: 7 }, onframe() {},
  });
  const { url, options } = ScriptedEngine.latest;
  assert.equal(url, "wss://example.org/ws");
  assert.deepEqual(options, { helloAfterUpgrade: true, queueMessages: 5, queueMaxAgeMs: 9, backoffCapMs: 7, frames: true, carries: false });
  await assert.rejects(connectWith(load, "ftp://example.org", {}), TypeError);
});

test("the engine is told whole numbers that it can read", async () => {
  await dial({
    queue: { messages: Infinity, bytes: 1.9, maxAgeMs: -1 }, backoff: { firstMs: NaN, baseMs: 0 }, connectTimeoutMs: 1e30,
  });
  const { options } = ScriptedEngine.latest;
  const most = Number.MAX_SAFE_INTEGER;
  assert.deepEqual(options, {
    helloAfterUpgrade: false, queueMessages: most, queueBytes: 1, backoffBaseMs: 0, connectTimeoutMs: most, frames: false,
    carries: false,
  });
});

test("the token provider may be absent, synchronous, asynchronous, or fail", async () => {
  const answer = async (token) => {
    const { engine } = await dial({ token });
    engine.report({ type: "token", reason: "connect", number: 3 });
    await settle();
    return engine.calls;
  };
  const fails = (error) => async () => { throw error; };
  assert.deepEqual(await answer(undefined), [["provideToken", 3, 0, undefined]]);
  assert.deepEqual(await answer(() => null), [["provideToken", 3, 0, undefined]]);
  assert.deepEqual(await answer(() => "a"), [["provideToken", 3, 0, "a"]]);
  assert.deepEqual(await answer(async () => "b"), [["provideToken", 3, 0, "b"]]);
  assert.deepEqual(await answer(() => { throw new Error("offline"); }), [["failToken", 3, 0, "offline"]]);
  assert.deepEqual(await answer(fails("offline")), [["failToken", 3, 0, "offline"]]);
  assert.deepEqual(await answer(fails(undefined)), [["failToken", 3, 0, ""]]);
  const final = Object.assign(new Error("signed out"), { retryable: false });
  assert.deepEqual(await answer(fails(final)), [["failToken", 3, 4, "signed out"]]);
});

test("a token asked for while the client is being made comes when it is", async () => {
  ScriptedEngine.onConstruct = (engine) => engine.report({ type: "token", reason: "connect", number: 1 });
  const { engine } = await dial({ token: () => "a" }).finally(() => delete ScriptedEngine.onConstruct);
  await settle();
  assert.deepEqual(engine.calls, [["provideToken", 1, 0, "a"]]);
});

test("the token provider is told what the token is for, and may give a ticket", async () => {
  const asked = [];
  const { engine } = await ready({
    token: ({ reason, signal }) => {
      asked.push([reason, signal.aborted]);
      return reason === "connect" ? { ticket: "c" } : "r";
    },
  });
  engine.report({ type: "token", reason: "connect", number: 1 });
  engine.report({ type: "token", reason: "refresh", number: 1 });
  await settle();
  assert.deepEqual(asked, [["connect", false], ["refresh", false]]);
  assert.deepEqual(engine.calls, [["provideToken", 1, 2, "c"], ["provideToken", 1, 1, "r"]]);
});

test("a fresh token that cannot be had is told apart, and final only if it says so", async () => {
  const error = new Error("signed out");
  const { engine } = await ready({ token: () => { throw error; } });
  engine.report({ type: "token", reason: "refresh", number: 1 });
  await settle();
  error.retryable = false;
  engine.report({ type: "token", reason: "refresh", number: 2 });
  await settle();
  assert.deepEqual(engine.calls, [["failToken", 1, 1, "signed out"], ["failToken", 2, 5, "signed out"]]);
});

test("a provider learns that nobody waits any more", async () => {
  const signals = [];
  const { engine } = await ready({
    token: ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
  });
  const aborted = () => signals.map((signal) => signal.aborted);
  engine.report({ type: "token", reason: "refresh", number: 1 });
  engine.report({ type: "token", reason: "refresh", number: 2 });
  assert.deepEqual(aborted(), [true, false], "another question for the same");
  engine.state("connecting", { code: 1006 });
  assert.deepEqual(aborted(), [true, true], "the connection is gone");
  engine.report({ type: "token", reason: "connect", number: 3 });
  engine.state("connecting", { attempt: 3 });
  assert.deepEqual(aborted(), [true, true, false], "this attempt asks");
  engine.state("connecting", { attempt: 3, retryInMs: 500 });
  assert.deepEqual(aborted(), [true, true, true], "this attempt is over");
  engine.report({ type: "token", reason: "connect", number: 4 });
  engine.closed();
  assert.deepEqual(aborted(), [true, true, true, true]);
});

test("ready() is re-armed on every connection, and fails at the end", async () => {
  const { client, engine } = await ready();
  await client.ready();
  engine.state("connecting", { retryInMs: 100, code: 1006 });
  const again = client.ready();
  assert.equal((await outcome(again)).state, "pending");
  engine.becomeReady();
  await again;
  engine.state("connecting");
  const never = client.ready();
  never.catch(() => {});
  engine.closed({ code: 4001, reason: "forbidden" });
  assert.ok((await outcome(never)).error instanceof ClosedError);
  await assert.rejects(client.ready(), ClosedError);
});

test("close waits for the engine, once, and frees it", async () => {
  const { client, engine } = await ready();
  const ends = [];
  client.addEventListener("close", (event) => ends.push(event.detail.code));
  const first = client.close({ deadlineMs: 7 });
  assert.equal((await outcome(first)).state, "pending");
  assert.deepEqual(engine.calls, [["close", 7]]);
  engine.closed();
  engine.closed();
  await Promise.all([first, client.close()]);
  assert.deepEqual(ends, [1000]);
  assert.ok(engine.freed);
  assert.equal(engine.calls.length, 1, "a freed engine is not called");
});

test("await using closes", async () => {
  const { client, engine } = await ready();
  engine.onClose = () => engine.closed();
  await client[Symbol.asyncDispose]();
  assert.equal(client.state, "closed");
});

test("an engine that fails closes the client with a reason", async () => {
  const { client, engine } = await ready();
  engine.onSend = () => { throw new WebAssembly.RuntimeError("unreachable"); };
  await assert.rejects(client.send("a", 1), { name: "ClosedError" });
  assert.equal(client.state, "closed");
  await client.close();
});

test("an import does nothing and needs no page", async () => {
  const before = Object.getOwnPropertyNames(globalThis);
  await import("../../build/client.js?again");
  assert.deepEqual(Object.getOwnPropertyNames(globalThis), before);
});
