// A run of the agent goes on, whatever happens to the connection.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { breakIt, heard, say, startDemo, state } from "./demo.mjs";
import { early, sends } from "../../sdk/js/tests/wire.mjs";

const PROMPT = "How does a session resume after a cut?";
/** A run of it takes so long that whatever has to happen in its middle does. */
const LONG = Array(3).fill(PROMPT).join(" ");
const events = (prompt) => [
  "agent_started",
  ...prompt.split(" ").map(() => "agent_thinking"),
  "tool_executing",
  "tool_completed",
  "agent_completed",
];

let demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo?.stop());

const steps = (page) => page.getByRole("log", { name: "Steps of the run" }).locator(".step");
async function run(page, prompt = PROMPT) {
  await page.getByLabel("Ask first").uncheck();
  await page.getByRole("textbox", { name: "Prompt" }).fill(prompt);
  await page.getByRole("button", { name: "Run", exact: true }).click();
}
const text = (page, pattern) => page.locator("#agent-state").filter({ hasText: pattern }).waitFor();

/** The parts of answers that came in on one connection. */
const parts = (frames) => frames.filter((frame) => frame.direction === "in" && frame.re !== undefined);

async function complete(page, prompt = PROMPT) {
  await text(page, `Finished after ${events(prompt).length} steps.`);
  const shown = await steps(page).evaluateAll((items) => items.map((item) => item.dataset.event));
  assert.deepEqual(shown, events(prompt));
  const read = await page.locator('.step[data-event="agent_thinking"] .text').allTextContents();
  assert.deepEqual(read.map((line) => /“(.*)”/.exec(line)[1]), prompt.split(" "));
  assert.notEqual(await steps(page).last().locator(".text").textContent(), "");
}

test("a run that is cut in the middle completes, no step missing or doubled", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await run(page, LONG);
  await steps(page).nth(2).waitFor();
  await breakIt(page, "Cut the connection");
  await wire.until(([, second]) => second !== undefined && parts(second).length > 0);
  await breakIt(page, "Cut the connection");
  await complete(page, LONG);

  const streamed = wire.connections.map((frames) => parts(frames).length);
  assert.ok(streamed.filter((count) => count > 0).length >= 3, `parts on each connection: ${streamed}`);
  assert.ok(wire.connections.flatMap(sends).every(({ id }) => id === 1), "it was asked for once");
});

test("a run can be stopped, and another one started", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  await run(page, LONG);
  await steps(page).nth(1).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await text(page, /^Stopped after \d+ steps?\.$/);
  await run(page);
  await complete(page);
});

test("with a service impaired the agent waits, the chat goes on, and the run completes afterwards", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await breakIt(page, "Impaired service");
  await state(page, "degraded");
  assert.equal(await page.locator("#state").textContent(), "degraded");
  await run(page);
  await wire.until(([frames]) => frames.some(({ type, service }) => type === "nack" && service === "search"));
  await say(page, "the chat goes on");
  await heard(page, "the chat goes on");
  await text(page, "Held for search: it goes out by itself when that works again.");
  const row = page.locator("#sends-rows tr", { hasText: "agent.run" });
  assert.equal(await row.locator(".outcome").textContent(), "held for search");
  assert.equal(await row.locator(".number").textContent(), "–", "it was refused under the id that it had");
  assert.equal(await page.locator("#sends-count").textContent(), "1 held, 1 acknowledged");
  assert.equal(await steps(page).count(), 0);

  await breakIt(page, "Reset");
  await state(page, "processing_ready");
  await complete(page);
  assert.equal(await row.locator(".outcome").textContent(), "acknowledged");
  assert.equal(wire.connections.length, 1);
  assert.deepEqual(early(wire.connections[0]), []);
});

test("a run that is not to wait is refused at once, and says which service is to blame", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  await breakIt(page, "Impaired service");
  await state(page, "degraded");
  await page.getByLabel("Do not wait").check();
  await run(page);
  await text(page, /^Failed after 0 steps: .*service `search` is impaired.*Send it again when search works/);
  const row = page.locator("#sends-rows tr", { hasText: "agent.run" });
  assert.match(await row.locator(".outcome").textContent(), /^refused · service_impaired/);

  await breakIt(page, "Reset");
  await state(page, "processing_ready");
  await run(page);
  await complete(page);
});
