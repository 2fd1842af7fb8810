import assert from "node:assert/strict";
import { test } from "node:test";
import { outcome, ready, settle } from "./scripted.mjs";

/** A `Blob` that is read when the test says so. */
class SlowBlob extends Blob {
  arrayBuffer() {
    return new Promise((resolve, reject) => {
      this.arrive = async () => (resolve(await super.arrayBuffer()), settle());
      this.fail = (error) => (reject(error), settle());
    });
  }
}

/** A promise whose failure is looked at later. */
const later = (promise) => (promise.catch(() => {}), promise);

const given = (engine) => engine.calls.map(([name, , event, payload]) => [name, event, payload]);

test("bytes of every kind go out as the bytes that they are", async () => {
  const { client, engine } = await ready();
  const buffer = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer;
  for (const payload of [buffer, new Uint8Array(buffer, 2, 3), new DataView(buffer, 6), new Uint16Array(buffer, 2, 1), new ArrayBuffer(0)]) {
    later(client.send("file", payload));
  }
  client.send("file", { data: 1 }).catch(() => {});
  assert.deepEqual(given(engine), [
    ["sendBytes", "file", Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)],
    ["sendBytes", "file", Uint8Array.of(3, 4, 5)],
    ["sendBytes", "file", Uint8Array.of(7, 8)],
    ["sendBytes", "file", Uint8Array.of(3, 4)],
    ["sendBytes", "file", new Uint8Array()],
    ["send", "file", '{"data":1}'],
  ]);
});

test("what comes as bytes is the application's own copy", async () => {
  const { client, engine } = await ready();
  const messages = client.messages();
  const memory = Uint8Array.of(9, 1, 2, 9);
  engine.message(1, "file", memory.subarray(1, 3));
  const reply = client.request("echo", new Uint8Array());
  engine.answer(1, 2, "echo", memory.subarray(0, 0), { end: true });
  memory.fill(0);
  assert.deepEqual((await messages.next()).value, { event: "file", payload: Uint8Array.of(1, 2), offset: 1 });
  assert.deepEqual(await reply, new Uint8Array());
});

test("what is sent behind a Blob waits for it", async () => {
  const { client, engine } = await ready();
  const [first, second] = [new SlowBlob(["ab"]), new SlowBlob(["c"])];
  const mine = Uint8Array.of(7);
  for (const payload of [1, first, 2, second, mine]) client.send("a", payload).catch(() => {});
  mine.fill(0);
  assert.deepEqual(given(engine), [["send", "a", "1"]]);
  await second.arrive();
  assert.equal(engine.calls.length, 1, "the first is not read");
  await first.arrive();
  assert.deepEqual(given(engine).slice(1), [
    ["sendBytes", "a", Uint8Array.of(97, 98)],
    ["send", "a", "2"],
    ["sendBytes", "a", Uint8Array.of(99)],
    ["sendBytes", "a", Uint8Array.of(7)],
  ]);
  assert.deepEqual(engine.calls.map(([, handle]) => handle), [1, 2, 3, 4, 5]);
  client.send("a", 3).catch(() => {});
  assert.equal(engine.calls.length, 6, "nobody stands in line any more");
});

test("a Blob that cannot be read is refused, and holds nobody up", async () => {
  const { client, engine } = await ready();
  const blob = new SlowBlob(["ab"]);
  const sending = later(client.send("a", blob));
  client.send("a", 2).catch(() => {});
  await blob.fail(new Error("gone"));
  const { error } = await outcome(sending);
  assert.equal(error.code, "payload_unreadable");
  assert.match(error.message, /gone/);
  assert.deepEqual(given(engine), [["send", "a", "2"]]);
});

test("a signal withdraws what waits for a Blob", async () => {
  const { client, engine } = await ready();
  const blob = new SlowBlob(["ab"]);
  const controller = new AbortController();
  const told = [];
  client.addEventListener("sendstate", ({ detail }) => told.push([detail.handle, detail.state]));
  const { signal } = controller;
  const sending = later(client.send("a", blob, { signal }));
  const request = later(client.request("a", 1, { signal }));
  const stream = client.stream("a", 1, { signal });
  client.send("a", 2).catch(() => {});
  controller.abort(new Error("enough"));
  for (const each of [sending, request, later(stream.next())]) assert.equal((await outcome(each)).error?.message, "enough");
  assert.deepEqual(given(engine), [["send", "a", "2"]], "the engine never hears of it");
  await blob.arrive();
  assert.equal(engine.calls.length, 1);
  assert.deepEqual(told.filter(([, state]) => state !== "queued"), [1, 2, 3].map((handle) => [handle, "refused"]));
});

test("what stands in line is bounded, and ends with the client", async () => {
  const { client, engine } = await ready({ queue: { messages: 2, bytes: 10 } });
  const blob = new SlowBlob(["abcdefgh"]);
  const first = later(client.send("a", blob));
  assert.equal((await outcome(client.send("a", "12345"))).error?.name, "QueueFullError");
  const second = later(client.send("a", 1));
  assert.equal((await outcome(client.send("a", 1))).error?.name, "QueueFullError");
  engine.closed();
  for (const each of [first, second]) assert.equal((await outcome(each)).error?.name, "ClosedError");
  await blob.arrive();
  assert.deepEqual(engine.calls, []);
});

test("a Blob that is read for too long expires", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { client } = await ready();
  const sending = later(client.send("a", new SlowBlob(["ab"])));
  context.mock.timers.tick(30_000);
  assert.equal((await outcome(sending)).error?.name, "ExpiredError");
});

test("a frame in a binary message is shown with the size of its payload", async () => {
  const frames = [];
  const { engine } = await ready({ onframe: (frame) => frames.push(frame) });
  engine.report({ type: "frame", direction: "out", text: "{}", bytes: 3 });
  engine.report({ type: "frame", direction: "in", text: "{}" });
  await settle();
  assert.deepEqual(frames.map(({ text, bytes }) => [text, bytes]), [["{}", 3], ["{}", undefined]]);
});

test("what is published as bytes keeps its topic", async () => {
  const { client, engine } = await ready();
  for (const payload of [Uint8Array.of(1, 2), new Blob(["a"])]) later(client.publish("room/7", "file", payload, { key: "k" }));
  await settle();
  assert.deepEqual(engine.named("sendBytes"), [
    ["sendBytes", 1, "file", Uint8Array.of(1, 2), 0, 0, "k", "room/7"],
    ["sendBytes", 2, "file", Uint8Array.of(97), 0, 0, "k", "room/7"],
  ]);
});

test("a publication of bytes is the application's own copy", async () => {
  const { client, engine } = await ready();
  const topic = client.subscribe("room/7");
  const memory = Uint8Array.of(9, 1, 2, 9);
  engine.publication(topic.handle, 5, "file", memory.subarray(1, 3));
  memory.fill(0);
  assert.deepEqual((await topic.next()).value, { type: "publication", event: "file", payload: Uint8Array.of(1, 2), offset: 5 });
});
