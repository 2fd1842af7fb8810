import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerError, RefusedError, UnknownOutcomeError } from "../../build/api.js";
import { BUFFER_LIMIT } from "../../build/iterators.js";
import { dial, outcome, ready, settle } from "./scripted.mjs";

test("a request gives the first message, before its acknowledgement too", async () => {
  const { client, engine } = await ready();
  const asking = client.request("echo", { a: 1 });
  engine.sent(1, "in_flight", { id: 1 });
  engine.answer(1, 1, "echo", { a: 1 }, { end: true });
  assert.deepEqual(await asking, { a: 1 });
  engine.sent(1, "acknowledged", { id: 1 });
  assert.deepEqual(engine.named("cancel"), []);
});

test("a request stops an answer that goes on, and an empty answer is undefined", async () => {
  const { client, engine } = await ready();
  const long = client.request("run", null);
  engine.answer(1, 1, "part", 1);
  engine.answer(1, 2, "part", 2, { end: true });
  assert.equal(await long, 1);
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
  const empty = client.request("run", null);
  engine.answer(2, 3, "", null, { end: true });
  assert.equal(await empty, undefined);
});

test("a request fails with the answer's error or the send's outcome", async () => {
  const { client, engine } = await ready();
  const failed = client.request("a", null);
  const refused = client.request("a", null);
  engine.answer(1, 0, "", null, { end: true, error: { code: "session_lost", message: "gone" } });
  engine.sent(2, "refused", { code: "forbidden" });
  const [{ error }, other] = await Promise.all([outcome(failed), outcome(refused)]);
  assert.ok(error instanceof AnswerError);
  assert.deepEqual([error.code, error.retryable], ["session_lost", true]);
  assert.ok(other.error instanceof RefusedError);
});

test("a signal stops a request: written, then acknowledged", async () => {
  const { client, engine } = await ready();
  engine.onAbandon = (handle) => engine.sent(handle, "unknown", { code: "given_up" });
  const abort = new AbortController();
  const written = client.request("a", null, { signal: abort.signal });
  const acknowledged = client.request("a", null, { signal: abort.signal });
  engine.sent(1, "in_flight", { id: 1 });
  engine.sent(2, "acknowledged", { id: 2 });
  abort.abort(new Error("enough"));
  const [first, second] = await Promise.all([outcome(written), outcome(acknowledged)]);
  assert.ok(first.error instanceof UnknownOutcomeError);
  assert.equal(second.error.message, "enough");
  assert.deepEqual(engine.named("cancel"), [["cancel", 1], ["cancel", 2]]);
  assert.deepEqual(engine.named("abandon"), [["abandon", 1]]);
});

test("a stream gives its parts in order and ends", async () => {
  const { client, engine } = await ready();
  const stream = client.stream("agent.run", { prompt: "x" });
  assert.equal(engine.named("send").length, 1, "sent at once");
  engine.sent(1, "acknowledged", { id: 1 });
  engine.answer(1, 1, "agent_started", { step: 1 });
  engine.answer(1, 2, "agent_completed", { step: 2 }, { end: true });
  const parts = [];
  for await (const part of stream) parts.push(part);
  assert.deepEqual(parts, [
    { event: "agent_started", payload: { step: 1 }, offset: 1 },
    { event: "agent_completed", payload: { step: 2 }, offset: 2 },
  ]);
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
  assert.deepEqual(engine.named("cancel"), []);
});

test("leaving the loop stops the work", async () => {
  const { client, engine } = await ready();
  const stream = client.stream("a", null);
  engine.answer(1, 1, "part", 1);
  engine.answer(1, 2, "part", 2);
  for await (const part of stream) {
    assert.equal(part.offset, 1);
    break;
  }
  engine.answer(1, 3, "part", 3);
  engine.answer(1, 4, "", null, { end: true, error: { code: "cancelled", message: "" } });
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
  await stream.return();
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
});

test("throw() stops the work too", async () => {
  const { client, engine } = await ready();
  await assert.rejects(client.stream("a", null).throw(new Error("mine")), /mine/);
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
});

test("a signal stops the work and fails the loop at once", async () => {
  const { client, engine } = await ready();
  const abort = new AbortController();
  const stream = client.stream("a", null, { signal: abort.signal });
  engine.answer(1, 1, "part", 1);
  abort.abort(new Error("enough"));
  await assert.rejects(stream.next(), /enough/);
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
});

test("a stream that failed does not disturb anyone before it is read", async () => {
  const { client, engine } = await dial();
  const stream = client.stream("a", null);
  engine.sent(1, "expired");
  await settle();
  await assert.rejects(stream.next(), { name: "ExpiredError" });
});

test("a reader that is too far behind loses its own stream only", async () => {
  const { client, engine } = await ready();
  const slow = client.stream("a", null);
  const other = client.stream("b", null);
  for (let offset = 1; offset <= BUFFER_LIMIT + 3; offset++) engine.answer(1, offset, "part", offset);
  engine.answer(2, 2000, "part", "fine");
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
  let read = 0;
  await assert.rejects(
    async () => {
      for await (const part of slow) assert.equal(part.offset, ++read);
    },
    { name: "AnswerError", code: "slow_consumer" },
  );
  assert.equal(read, BUFFER_LIMIT);
  assert.equal((await other.next()).value.payload, "fine");
});
