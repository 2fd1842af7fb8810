import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError, ExpiredError, RefusedError } from "../../build/api.js";
import { FLAG_ANSWER, FLAG_STREAM } from "../../build/raw.js";
import { dial, outcome, ready, settle } from "./scripted.mjs";

/** A ready client with a stream that the server has taken, whose parts are written as they come. */
async function open(options) {
  const { client, engine } = await ready();
  engine.onWrite = (handle) => {
    engine.sent(handle, "queued");
    engine.sent(handle, "in_flight", { id: handle });
  };
  const stream = client.openStream("transcribe", { language: "en" }, options);
  engine.sent(1, "acknowledged", { id: 1 });
  return { client, engine, stream };
}

/** What the engine does at a cancel: the parts that wait are refused, and the server ends the answer. */
function refuseAtCancel(engine, waiting) {
  engine.onCancel = () => {
    for (const handle of waiting) engine.sent(handle, "refused", { id: null, code: "stream_over" });
  };
}

test("a stream is a send, its parts name it, and its answer comes back meanwhile", async () => {
  const { engine, stream } = await open();
  assert.deepEqual(engine.named("send"), [
    ["send", 1, "transcribe", '{"language":"en"}', FLAG_ANSWER | FLAG_STREAM, 0, undefined, undefined],
  ]);
  await stream.write({ text: "a" });
  engine.answer(1, 1, "heard", "a");
  assert.equal((await stream.next()).value.payload, "a");
  await stream.write(null);
  const ending = stream.end();
  assert.deepEqual(engine.named("write"), [
    ["write", 2, 1, '{"text":"a"}', false],
    ["write", 3, 1, "null", false],
    ["write", 4, 1, "null", true],
  ]);
  assert.equal((await outcome(ending)).state, "pending", "written is not taken");
  engine.sent(4, "acknowledged", { id: 4 });
  await ending;
  engine.answer(1, 2, "done", { words: 1 }, { end: true });
  const rest = [];
  for await (const part of stream) rest.push(part);
  assert.deepEqual(rest, [{ event: "done", payload: { words: 1 }, offset: 2 }]);
  assert.deepEqual(engine.named("cancel"), []);
});

test("write() waits until there is room for its part", async () => {
  const { client, engine } = await dial();
  const stream = client.openStream("transcribe", null);
  const [first, second] = [stream.write(1), stream.write(2)];
  assert.equal((await outcome(first)).state, "pending");
  engine.sent(2, "queued");
  await first;
  assert.equal((await outcome(second)).state, "pending", "the handler has not read enough");
  engine.sent(3, "queued");
  await second;
  engine.sent(2, "in_flight", { id: 2 });
  engine.sent(2, "refused", { id: 2, code: "stream_over" });
  const third = stream.write(3);
  engine.sent(4, "refused", { code: "stream_full", retry: true });
  await assert.rejects(third, { code: "stream_full", retryable: true });
  assert.deepEqual(engine.named("cancel"), [], "it may be tried again");
});

test("end() waits for the part before it, whether anybody else does or not", async () => {
  const { client, engine } = await dial();
  const stream = client.openStream("transcribe", null);
  const writing = stream.write(1);
  await assert.rejects(
    (engine.onWrite = (handle) => engine.sent(handle, "refused", { code: "stream_full", retry: true })) && stream.write(2),
    { code: "stream_full" },
  );
  engine.onWrite = undefined;
  const ending = stream.end();
  await settle();
  assert.equal(engine.named("write").length, 2);
  engine.sent(2, "queued");
  await settle();
  assert.deepEqual(engine.named("write")[2], ["write", 4, 1, "null", true]);
  engine.sent(4, "acknowledged", { id: 3 });
  await Promise.all([writing, ending]);
});

test("bytes of every kind go as bytes, and a Blob keeps its place", async () => {
  const { engine, stream } = await open();
  const buffer = new Uint8Array([1, 2]);
  const writing = [stream.write(buffer), stream.write(new Blob(["ab"])), stream.write("behind it")];
  buffer.fill(9);
  await Promise.all(writing);
  const written = engine.calls.filter(([name]) => name.startsWith("write"));
  assert.deepEqual(written, [
    ["writeBytes", 2, 1, new Uint8Array([1, 2])],
    ["writeBytes", 3, 1, new Uint8Array([97, 98])],
    ["write", 4, 1, '"behind it"', false],
  ]);
  await assert.rejects(stream.write(undefined), TypeError);
});

test("a stream that is over refuses what comes late, and its end is no error", async () => {
  const { engine, stream } = await open();
  engine.onWrite = (handle) => engine.sent(handle, "refused", { code: "stream_over", message: "its handler has ended" });
  engine.answer(1, 1, "enough", null, { end: true });
  await assert.rejects(stream.write(1), (error) => error instanceof RefusedError && error.code === "stream_over");
  await stream.end();
  assert.equal((await stream.next()).value.event, "enough");
  assert.equal((await stream.next()).done, true);
});

test("whatever else becomes of a part or the end is told", async () => {
  const { engine, stream } = await open();
  engine.onWrite = undefined;
  const writing = stream.write(1);
  engine.sent(2, "expired");
  await assert.rejects(writing, ExpiredError);
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]], "what lacks a part is not the whole");
  await assert.rejects(stream.next(), ExpiredError);
});

test("a lost session is told by the answer, and by the end that was under way", async () => {
  const { engine, stream } = await open();
  engine.onWrite = undefined;
  const ending = stream.end();
  engine.sent(2, "unknown", { id: 2, code: "session_lost" });
  await assert.rejects(ending, { code: "session_lost" });
  engine.answer(1, 0, "", null, { end: true, error: { code: "session_lost", message: "gone" } });
  await assert.rejects(stream.next(), { name: "AnswerError", code: "session_lost" });
  assert.deepEqual(engine.named("cancel"), []);
});

test("a Blob that cannot be read breaks its stream", async () => {
  const { engine, stream } = await open();
  class Gone extends Blob {
    arrayBuffer() {
      return Promise.reject(new Error("gone"));
    }
  }
  await assert.rejects(stream.write(new Gone(["a"])), { code: "payload_unreadable" });
  await assert.rejects(stream.next(), { code: "payload_unreadable" });
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
  assert.deepEqual(engine.named("writeBytes"), []);
});

test("a part that is refused later stops the stream, and the loop throws why", async () => {
  const { engine, stream } = await open();
  await stream.write(1);
  engine.sent(2, "refused", { id: 2, code: "forbidden" });
  await assert.rejects(stream.next(), { code: "forbidden" });
  const other = await open();
  await other.stream.write(1);
  // What had its place, and lost it: the server of a later connection lets less be unread.
  other.engine.sent(2, "refused", { id: 2, code: "stream_full" });
  await assert.rejects(other.stream.next(), { code: "stream_full" });
});

test("leaving the loop stops the stream", async () => {
  const { engine, stream } = await open();
  engine.onWrite = undefined;
  const writing = stream.write(1);
  refuseAtCancel(engine, [2]);
  engine.answer(1, 1, "heard", 1);
  for await (const _ of stream) break;
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
  assert.equal((await outcome(writing)).error.code, "stream_over");
});

test("a signal stops the stream: the loop and the writes that wait throw its reason", async () => {
  const abort = new AbortController();
  const { client, engine, stream } = await open({ signal: abort.signal });
  engine.onWrite = undefined;
  const waiting = Promise.all([outcome(stream.next()), outcome(stream.write(1))]);
  refuseAtCancel(engine, [2]);
  abort.abort(new Error("enough"));
  for (const { error } of await waiting) assert.equal(error.message, "enough");
  assert.equal((await outcome(stream.write(2))).error.message, "enough");
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
  const late = client.openStream("transcribe", null, { signal: abort.signal });
  assert.equal((await outcome(late.next())).error.message, "enough");
  assert.equal(engine.named("send").length, 1);
});

test("what comes of a source is written part by part, at the pace of the handler, and then the end", async () => {
  let asked = 0;
  async function* source() {
    for (const part of ["a", "b"]) {
      asked++;
      yield part;
    }
  }
  const { client, engine } = await ready();
  const stream = client.openStream("transcribe", null, { from: source() });
  await settle();
  assert.equal(asked, 1, "the second is not asked for before the first is written");
  engine.sent(2, "queued");
  await settle();
  engine.sent(3, "queued");
  await settle();
  assert.deepEqual(engine.named("write"), [["write", 2, 1, '"a"', false], ["write", 3, 1, '"b"', false], ["write", 4, 1, "null", true]]);
  engine.sent(4, "acknowledged", { id: 4 });
  engine.answer(1, 1, "", null, { end: true });
  assert.equal((await stream.next()).done, true);
  assert.deepEqual(engine.named("cancel"), []);
});

test("a source that fails stops the stream, and the answer throws the same", async () => {
  async function* source() {
    yield "a";
    throw new Error("the microphone is gone");
  }
  const { engine, stream } = await open({ from: source() });
  engine.answer(1, 1, "heard", "a");
  await settle();
  assert.equal((await stream.next()).value.payload, "a");
  await assert.rejects(stream.next(), /the microphone is gone/);
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
});

test("a source is left when the stream is over, and that is no error", async () => {
  let left = false;
  async function* source() {
    try {
      for (;;) yield "more";
    } finally {
      left = true;
    }
  }
  const { client, engine } = await ready();
  engine.onWrite = (handle) => engine.sent(handle, "refused", { code: "stream_over" });
  const stream = client.openStream("transcribe", null, { from: source() });
  engine.answer(1, 1, "enough", null, { end: true });
  await settle();
  assert.ok(left);
  assert.equal((await stream.next()).value.event, "enough");
  assert.equal((await stream.next()).done, true);
  assert.deepEqual(engine.named("cancel"), []);
});

test("a list will do as a source", async () => {
  const { engine } = await open({ from: [1, 2] });
  await settle();
  assert.deepEqual(engine.named("write").map((call) => call[3]), ["1", "2", "null"]);
});

test("the end of the client ends the stream", async () => {
  const { client, engine, stream } = await open();
  engine.onWrite = undefined;
  const writing = stream.write(1);
  engine.closed();
  assert.ok((await outcome(writing)).error instanceof ClosedError);
  assert.ok((await outcome(stream.next())).error instanceof ClosedError);
  assert.ok((await outcome(stream.write(2))).error instanceof ClosedError);
  assert.ok((await outcome(client.openStream("a", null).next())).error instanceof ClosedError);
});

test("parts are told of as every send is, under the name of their stream", async () => {
  const { client, engine, stream } = await open();
  const told = [];
  client.addEventListener("sendstate", ({ detail }) => told.push([detail.handle, detail.event, detail.state, detail.code]));
  await stream.write(1);
  engine.sent(2, "refused", { id: 2, code: "stream_over", message: "its handler has ended" });
  assert.deepEqual(told, [
    [2, "transcribe", "queued", null],
    [2, "transcribe", "in_flight", null],
    [2, "transcribe", "refused", "stream_over"],
  ]);
});
