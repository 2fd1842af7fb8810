import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError, SubscriptionError } from "../../build/api.js";
import { BUFFER_LIMIT } from "../../build/iterators.js";
import { dial, outcome, ready, settle } from "./scripted.mjs";

test("what comes of a topic comes in order, and a gap is told where it is", async () => {
  const { client, engine } = await ready();
  const room = client.subscribe("room/7", { from: { offset: 118, epoch: "e" } });
  assert.deepEqual(engine.named("subscribe"), [["subscribe", 1, "room/7", 118, "e", 0]], "at once");
  assert.equal(room.topic, "room/7");
  engine.subscribed(1, { offset: 118, head: 119, recovered: true });
  engine.publication(1, 119, "chat.said", { text: "hello" });
  engine.subscribed(1, { offset: 200, head: 200, recovered: false });
  engine.publication(1, 201, "chat.said", null);
  const came = [];
  for await (const news of room) {
    came.push(news.type === "subscribed" ? news.recovered : [news.event, news.payload, news.offset]);
    if (came.length === 4) break;
  }
  assert.deepEqual(came, [true, ["chat.said", { text: "hello" }, 119], false, ["chat.said", null, 201]]);
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]], "leaving the loop unsubscribes");
});

test("without a position it begins now, and a position has to be one", async () => {
  const { client, engine } = await ready();
  client.subscribe("t");
  client.subscribe("u", { from: { offset: 0 } });
  client.subscribe("v", { last: 10 });
  assert.deepEqual(engine.named("subscribe"), [
    ["subscribe", 1, "t", -1, undefined, 0],
    ["subscribe", 2, "u", 0, undefined, 0],
    ["subscribe", 3, "v", -1, undefined, 10],
  ]);
  for (const odd of [-1, 1.5, Number.NaN, "5"]) {
    assert.throws(() => client.subscribe("w", { from: { offset: odd } }), TypeError);
    assert.throws(() => client.subscribe("w", { last: odd }), TypeError);
  }
});

test("unsubscribe() ends the loop behind what had come", async () => {
  const { client, engine } = await dial();
  const room = client.subscribe("t");
  engine.subscribed(1, {});
  engine.publication(1, 1, "e", 1);
  room.unsubscribe();
  room.unsubscribe();
  engine.publication(1, 2, "e", 2);
  engine.unsubscribed(1, "");
  const came = [];
  for await (const news of room) came.push(news.type);
  assert.deepEqual(came, ["subscribed", "publication"]);
  assert.deepEqual(engine.named("cancel")[0], ["cancel", 1]);
});

test("a signal unsubscribes, and the loop throws its reason", async () => {
  const { client, engine } = await ready();
  const abort = new AbortController();
  const room = client.subscribe("t", { signal: abort.signal });
  const next = room.next();
  abort.abort(new Error("enough"));
  assert.equal((await outcome(next)).error.message, "enough");
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
  const late = client.subscribe("t", { signal: abort.signal });
  assert.equal((await outcome(late.next())).error.message, "enough");
  assert.equal(engine.named("subscribe").length, 1);
});

test("a refusal and a revocation are errors with a code", async () => {
  const { client, engine } = await ready();
  const room = client.subscribe("secret");
  engine.unsubscribed(1, "forbidden");
  const { error } = await outcome(room.next());
  assert.ok(error instanceof SubscriptionError);
  assert.deepEqual([error.code, error.retryable], ["forbidden", false]);
  assert.match(error.message, /"secret"/);
  assert.ok(error.remedy);
  assert.deepEqual(await room.next(), { value: undefined, done: true }, "told once");
  const other = client.subscribe("t");
  engine.subscribed(2, {});
  engine.unsubscribed(2, "unavailable", true);
  assert.equal((await other.next()).value.type, "subscribed");
  assert.equal((await outcome(other.next())).error.retryable, true);
});

test("who does not read loses its own subscription alone", async () => {
  const { client, engine } = await ready();
  const slow = client.subscribe("t");
  const quick = client.subscribe("u");
  for (let offset = 1; offset <= BUFFER_LIMIT + 5; offset++) engine.publication(1, offset, "e", offset);
  engine.publication(2, 1, "e", 1);
  assert.equal((await quick.next()).value.payload, 1);
  let read = 0;
  await assert.rejects(async () => {
    for await (const _ of slow) read++;
  }, (error) => error.code === "slow_consumer" && error.retryable);
  assert.equal(read, BUFFER_LIMIT, "what it had is not taken away");
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
});

test("the end of the client ends every subscription", async () => {
  const { client, engine } = await ready();
  const room = client.subscribe("t");
  const next = room.next();
  engine.closed();
  assert.deepEqual(await next, { value: undefined, done: true });
  const late = client.subscribe("t");
  assert.ok((await outcome(late.next())).error instanceof ClosedError);
  const lost = await ready();
  const other = lost.client.subscribe("t");
  lost.engine.closed({ code: 4001, reason: "forbidden" });
  assert.ok((await outcome(other.next())).error instanceof ClosedError);
  await settle();
});

test("publish() is a send with a topic", async () => {
  const { client, engine } = await ready();
  const publishing = client.publish("room/7", "chat.said", { text: "hello" }, { key: "k" });
  const plain = client.send("chat.said", {});
  const [published, sent] = engine.named("send");
  assert.deepEqual(published.slice(1), [1, "chat.said", '{"text":"hello"}', 0, 0, "k", "room/7"]);
  assert.equal(sent.at(-1), undefined);
  engine.sent(1, "acknowledged", { id: 1 });
  assert.deepEqual(await publishing, { id: 1 });
  engine.sent(2, "refused", { code: "forbidden" });
  await assert.rejects(plain, { code: "forbidden" });
});
