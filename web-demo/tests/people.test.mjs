// Several tabs and users, and what the list of sends says.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { breakIt, heard, said, say, startDemo, state } from "./demo.mjs";
import { sends } from "../../sdk/js/tests/wire.mjs";

let demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo?.stop());

const notified = (page) => page.getByRole("log", { name: "Notifications received" }).locator(".message");
const outcome = (page, what) => page.getByRole("row").filter({ hasText: what }).locator(".outcome");

test("two tabs talk to each other", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  const opened = page.context().waitForEvent("page");
  await page.getByRole("button", { name: "Open a second tab" }).click();
  const other = await opened;
  await state(other, "processing_ready");

  await say(page, "is anybody there?");
  await heard(other, "is anybody there?");
  await say(other, "I am");
  await heard(page, "I am");
  for (const tab of [page, other]) assert.deepEqual(await said(tab), ["is anybody there?", "I am"]);
  assert.deepEqual(await page.locator("#chat-log .from").allTextContents(), ["this tab", "alice"]);
  assert.deepEqual(await other.locator("#chat-log .from").allTextContents(), ["alice", "this tab"]);
});

test("who comes later, or loads the page again, finds what was said, and nothing twice", async (t) => {
  const { page } = await demo.open(t, "alice");
  await state(page, "processing_ready");
  for (const text of ["one", "two", "three"]) {
    await say(page, text);
    await heard(page, text);
  }
  const { page: late, wire } = await demo.open(t, "bob");
  await heard(late, "three");
  assert.deepEqual(await said(late), ["one", "two", "three"]);
  assert.equal(await late.locator("#chat-log .gap").count(), 0, "nothing is missing");

  await breakIt(late, "Cut the connection");
  await wire.until((connections) => connections.length === 2);
  await say(page, "four");
  await heard(late, "four");
  assert.deepEqual(await said(late), ["one", "two", "three", "four"]);
  const asked = wire.connections[1].filter((frame) => frame.type === "subscribe");
  assert.deepEqual(asked.map(({ offset }) => offset), [3], "from what it holds");

  await page.reload();
  await heard(page, "four");
  assert.deepEqual(await said(page), ["one", "two", "three", "four"]);
});

/** Says lines as fast as a page can, which no person types. */
async function sayLines(page, from, to) {
  await page.evaluate(
    ([from, to]) => {
      for (let line = from; line <= to; line++) {
        document.getElementById("chat-text").value = `line ${line}`;
        document.getElementById("chat-form").requestSubmit();
      }
    },
    [from, to],
  );
  await heard(page, `line ${to}`);
}

const lines = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`);
const older = (page) => page.getByRole("button", { name: "Older messages" });

test("a room begins with its latest messages, and older ones come when they are asked for", async (t) => {
  const { page } = await demo.open(t, "alice");
  await state(page, "processing_ready");
  assert.equal(await older(page).isVisible(), false, "there are none");
  await sayLines(page, 1, 120);
  assert.equal(await older(page).isVisible(), false, "all of them are here");

  const { page: late, wire } = await demo.open(t, "bob");
  await heard(late, "line 120");
  assert.deepEqual(await said(late), lines(71, 120));
  const log = late.locator("#chat-log");
  await log.evaluate((log) => (log.scrollTop = 0));
  const top = late.getByText("line 71", { exact: true });
  const before = await top.boundingBox();
  await older(late).focus();
  await late.keyboard.press("Enter");
  await heard(late, "line 21");
  assert.deepEqual(await said(late), lines(21, 120));
  const moved = Math.abs((await top.boundingBox()).y - before.y);
  assert.ok(moved < 2, `what is read stays where it is, but for rounding: ${moved}`);
  assert.ok(await older(late).evaluate((button) => button === document.activeElement), "the focus stays");

  // The page is on its way when the connection breaks: it comes once, and whole.
  await breakIt(late, "Cut the connection");
  await older(late).click();
  await heard(late, "line 1");
  assert.deepEqual(await said(late), lines(1, 120));
  assert.equal(await older(late).isVisible(), false, "that was the beginning");
  assert.equal(await late.locator("#chat-log .gap").count(), 0);
  await wire.until((connections) => connections.length === 2);
  await sayLines(page, 121, 122);
  await heard(late, "line 122");
  assert.deepEqual(await said(late), lines(1, 122));
});

test("what a room has lost is told where it was", async (t) => {
  const { page } = await demo.open(t, "alice");
  await state(page, "processing_ready");
  await sayLines(page, 1, 201);
  assert.equal(await page.locator("#chat-log .gap").count(), 0);
  const { page: late } = await demo.open(t, "bob");
  await heard(late, "line 201");
  for (const first of [102, 52, 2]) {
    await older(late).click();
    await heard(late, `line ${first}`);
  }
  assert.deepEqual(await said(late), lines(2, 201));
  assert.equal(await late.locator("#chat-log .gap").textContent(), "Older messages are gone.");
  assert.equal(await older(late).isVisible(), false);
});

test("a notification reaches one user on every tab, and nobody else", async (t) => {
  const { page: alice } = await demo.open(t, "alice");
  const { page: bob } = await demo.open(t, "bob");
  const { page: bobAgain } = await demo.open(t, "bob");
  for (const page of [alice, bob, bobAgain]) await state(page, "processing_ready");

  const form = alice.getByRole("region", { name: "Notifications" });
  assert.equal(await form.getByRole("textbox", { name: "To" }).inputValue(), "alice");
  await form.getByRole("textbox", { name: "To" }).fill("bob");
  await form.getByRole("textbox", { name: "Text" }).fill("lunch?");
  await form.getByRole("button", { name: "Notify" }).click();
  for (const page of [bob, bobAgain]) {
    await notified(page).waitFor();
    assert.deepEqual(await notified(page).allTextContents(), ["from alicelunch?"]);
  }
  // Said after it: once this is there, a stray notification would be too.
  await say(alice, "has it arrived?");
  await heard(alice, "has it arrived?");
  assert.equal(await notified(alice).count(), 0);
  assert.equal(await outcome(alice, "to bob").textContent(), "acknowledged");
});

test("a send whose acknowledgement is lost is in flight, and settled by the next connection without a double", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await say(page, "first");
  await outcome(page, "first").getByText("acknowledged").waitFor();
  await breakIt(page, "Lose acks");
  await page.locator("#fault-result", { hasText: "get lost" }).waitFor();
  await say(page, "second");
  await heard(page, "second");
  assert.equal(await outcome(page, "second").textContent(), "in flight");
  assert.equal(await page.locator("#sends-count").textContent(), "1 acknowledged, 1 in flight");

  await breakIt(page, "Cut the connection");
  await outcome(page, "second").getByText("acknowledged").waitFor();
  assert.equal(await page.locator("#sends-count").textContent(), "2 acknowledged");
  assert.deepEqual(await said(page), ["first", "second"]);
  assert.equal(wire.connections.length, 2);
  assert.deepEqual(sends(wire.connections[1]), [], "the server had it, so it was not sent again");
});
