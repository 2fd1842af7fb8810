import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError, HistoryError } from "../../build/api.js";
import { outcome, ready } from "./scripted.mjs";

test("a page is what came of it, when it is whole", async () => {
  const { client, engine } = await ready();
  const asked = client.history("room/7", { limit: 2, before: { offset: 70, epoch: "e" } });
  assert.deepEqual(engine.named("history"), [["history", 1, "room/7", 2, 70, "e"]]);
  engine.paged(1, 68, "chat.said", { text: "hello" });
  engine.paged(1, 69, "file", new Uint8Array([1, 2]));
  assert.equal((await outcome(asked)).state, "pending");
  engine.page(1, { head: 99, more: true });
  const page = await asked;
  assert.deepEqual(page.publications, [
    { type: "publication", event: "chat.said", payload: { text: "hello" }, offset: 68 },
    { type: "publication", event: "file", payload: new Uint8Array([1, 2]), offset: 69 },
  ]);
  assert.deepEqual([page.epoch, page.head, page.more], ["e", 99, true]);
});

test("older() goes on below the oldest, as long as there is anything", async () => {
  const { client, engine } = await ready();
  const asked = client.history("t");
  engine.paged(1, 7, "e", 7);
  engine.page(1, { more: true });
  const older = (await asked).older();
  assert.deepEqual(engine.named("history"), [["history", 1, "t", 50, -1, undefined], ["history", 2, "t", 50, 7, "e"]]);
  engine.paged(2, 3, "e", 3);
  engine.page(2, { more: false });
  const last = await older;
  assert.deepEqual(last.publications.map(({ offset }) => offset), [3]);
  assert.equal(await last.older(), null);
  assert.equal(engine.named("history").length, 2);
});

test("a refusal is an error with a code, and a limit has to be one", async () => {
  const { client, engine } = await ready();
  const refused = client.history("secret");
  engine.unsubscribed(1, "forbidden");
  const { error } = await outcome(refused);
  assert.ok(error instanceof HistoryError);
  assert.deepEqual([error.code, error.retryable], ["forbidden", false]);
  assert.match(error.message, /"secret"/);
  assert.ok(error.remedy);
  for (const options of [{ limit: 0 }, { limit: 1.5 }, { limit: "5" }, { before: { offset: -1 } }]) {
    await assert.rejects(client.history("t", options), TypeError);
  }
  assert.equal(engine.named("history").length, 1);
});

test("a signal gives a page up, with its own reason", async () => {
  const { client, engine } = await ready();
  const abort = new AbortController();
  const asked = client.history("t", { signal: abort.signal });
  abort.abort(new Error("scrolled away"));
  assert.equal((await outcome(asked)).error.message, "scrolled away");
  assert.deepEqual(engine.named("cancel"), [["cancel", 1]]);
  engine.unsubscribed(1, "");
  const late = client.history("t", { signal: abort.signal });
  assert.equal((await outcome(late)).error.message, "scrolled away");
  assert.equal(engine.named("history").length, 1);
});

test("the end of the client ends every wait", async () => {
  const { client, engine } = await ready();
  const asked = client.history("t");
  engine.closed({ code: 4001, reason: "forbidden" });
  assert.ok((await outcome(asked)).error instanceof ClosedError);
  assert.ok((await outcome(client.history("t"))).error instanceof ClosedError);
});
