// What a visitor sees of readiness, and what the wire says to it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { breakIt, heard, said, say, startDemo, state } from "./demo.mjs";
import { early, sends } from "../../sdk/js/tests/wire.mjs";

const STAGES = ["connecting", "accepted", "authenticated", "services_ready", "processing_ready"];
const WAITING = { name: "Messages not delivered yet" };

let demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo?.stop());

test("the stages light up in order, each with its time", async (t) => {
  const { page } = await demo.open(t, null);
  await page.evaluate(() => {
    globalThis.lit = [];
    new MutationObserver((changes) => {
      for (const { target } of changes) if (target.dataset.status === "done") globalThis.lit.push(target.dataset.stage);
    }).observe(document.querySelector("#stages"), { subtree: true, attributeFilter: ["data-status"] });
  });
  await page.getByLabel("This page needs a token").fill(await demo.server.token("alice"));
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await state(page, "processing_ready");

  const lit = await page.evaluate(() => globalThis.lit);
  assert.deepEqual([...new Set(lit)], STAGES);
  assert.deepEqual(await page.locator(".stage .name").allTextContents(), STAGES.map((name) => name.toUpperCase()));
  const times = await page.locator(".stage .time").allTextContents();
  for (const time of times) assert.match(time, /^\d+ ms$/);
  const numbers = times.map((time) => Number.parseInt(time, 10));
  assert.deepEqual(numbers, numbers.toSorted((left, right) => left - right));
  assert.equal(await page.getByRole("button", { name: "Connect again" }).isVisible(), false);
  assert.equal(new URL(page.url()).hash, "", "the token is not left in the address");
});

test("what is typed while a service starts is held back, then delivered once and in order", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await breakIt(page, "Slow service");
  await page.locator('.stage[aria-current="step"]', { hasText: "starting search… 0 of 1" }).waitFor();
  // It starts when the test has seen what waits for it.
  await demo.server.fault({ service_delay_ms: { search: 600_000 } });
  const typed = ["one", "two", "three"];
  for (const text of typed) await say(page, text);

  const held = page.getByRole("list", WAITING).getByRole("listitem");
  assert.deepEqual(await held.allTextContents(), typed.map((text) => `held back${text}`));
  assert.deepEqual(await page.locator("#sends-rows .outcome").allTextContents(), ["queued", "queued", "queued"]);
  assert.match(await page.locator("#state-detail").textContent(), /Starting search.*held back/);
  assert.equal(wire.connections.length, 2);
  assert.deepEqual(sends(wire.connections[1]), []);

  await demo.server.fault({ service_delay_ms: { search: 0 } });
  await heard(page, "three");
  await held.first().waitFor({ state: "detached" });
  assert.deepEqual(await said(page), typed);
  assert.deepEqual(await page.locator("#sends-rows .outcome").allTextContents(), Array(3).fill("acknowledged"));
  assert.equal(wire.connections.length, 2);
  const [, frames] = wire.connections;
  assert.deepEqual(early(frames), [], "no send before ready");
  assert.deepEqual(sends(frames).map(({ payload }) => payload.text), typed);
  const ids = sends(frames).map(({ id }) => id);
  assert.deepEqual(ids, [1, 2, 3]);
});

test("a service that fails to start is named, and after the reset all goes on", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await breakIt(page, "Failing service");
  await page.locator("#state-detail", { hasText: "service `search` failed to start" }).waitFor();
  await say(page, "patience");
  await wire.until((connections) => connections.length >= 3);
  await breakIt(page, "Reset");
  await heard(page, "patience");
  await state(page, "processing_ready");
  assert.deepEqual(await said(page), ["patience"]);
  for (const frames of wire.connections) assert.deepEqual(early(frames), []);
});

test("an expired token stops the client with a readable reason, and it can connect again", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await breakIt(page, "Expired token");
  await state(page, "closed");
  assert.equal(await page.locator("#state-detail").textContent(), "Closed (4102): the token has expired: ask for a new one.");
  const attempts = wire.connections.length;
  assert.equal(attempts, 3, "the one that expired, and two that were refused");
  await say(page, "too late");
  await page.getByRole("list", WAITING).getByText("not delivered").waitFor();

  await breakIt(page, "Reset");
  await page.getByRole("button", { name: "Connect again" }).click();
  await state(page, "processing_ready");
  assert.equal(wire.connections.length, attempts + 1, "nothing was dialled while it was stopped");
  await say(page, "back again");
  await heard(page, "back again");
  assert.deepEqual(await said(page), ["back again"]);
});

test("a token that was never valid is refused with a readable reason", async (t) => {
  const { page } = await demo.open(t, null);
  await page.goto(`${demo.server.origin}/#token=not.a.token`);
  await state(page, "closed");
  assert.match(await page.locator("#state-detail").textContent(), /^Closed \(4104\): .{10,}/);
  // The address given anew, as when it is pasted once more.
  const token = await demo.server.token("alice");
  await page.evaluate((hash) => (location.hash = hash), `token=${token}`);
  await state(page, "processing_ready");
  assert.equal(await page.locator("#subject").textContent(), "signed in as alice");
});
