// The agent asks before it searches, and whoever sits at the page decides; whatever happens to the connection meanwhile.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { breakIt, startDemo, state } from "./demo.mjs";
import { sends } from "../../sdk/js/tests/wire.mjs";

const QUESTION = "May I search the documentation for “readiness”?";
const BEFORE = ["agent_started", "agent_thinking"];
const PERMITTED = [...BEFORE, "tool_permitted", "tool_executing", "tool_completed", "agent_completed"];

let demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo?.stop());

const question = (page) => page.getByRole("group", { name: QUESTION, exact: true });
const say = (page, name) => question(page).getByRole("button", { name, exact: true }).click();
const told = (page, pattern) => page.locator("#agent-state").filter({ hasText: pattern }).waitFor();
const steps = (page) => page.locator("#agent-steps .step").evaluateAll((items) => items.map((item) => item.dataset.event));

/** Starts a run that waits so long for an answer. */
async function run(page, seconds = 60) {
  await page.getByRole("spinbutton", { name: "Seconds to wait for an answer" }).fill(String(seconds));
  await page.getByRole("textbox", { name: "Prompt" }).fill("readiness");
  await page.getByRole("button", { name: "Run", exact: true }).click();
}

/** A page whose run waits for an answer. */
async function asked(t) {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await run(page);
  await question(page).waitFor();
  return { page, wire };
}

/** Each time that the server asked, and each answer, on whichever connection. */
const asks = (wire) => wire.connections.flat().filter(({ direction, asks }) => direction === "in" && asks);
const replies = (wire) => wire.connections.flatMap(sends).filter(({ re }) => re !== undefined);

async function finished(page, events) {
  await told(page, `Finished after ${events.length} steps.`);
  assert.deepEqual(await steps(page), events);
  assert.equal(await question(page).count(), 0);
}

test("the run goes on with what was said", async (t) => {
  const { page } = await asked(t);
  await told(page, "2 steps so far. It waits for your answer.");
  assert.deepEqual(await steps(page), BEFORE);
  await say(page, "Yes, search");
  await finished(page, PERMITTED);
  const row = page.locator("#sends-rows tr", { hasText: "agent.may" });
  assert.equal(await row.locator(".what").textContent(), "agent.may yes");
  assert.equal(await row.locator(".outcome").textContent(), "acknowledged");

  await run(page);
  await say(page, "No");
  await finished(page, [...BEFORE, "tool_refused", "agent_completed"]);
  assert.equal(
    await page.locator('.step[data-event="agent_completed"] .text').textContent(),
    "Nothing was searched, since you did not want it.",
  );
});

test("an open question stays over a cut and a deployment, and is asked and answered once", async (t) => {
  const { page, wire } = await asked(t);
  const ready = (connection) => connection?.some(({ type }) => type === "ready") ?? false;
  await breakIt(page, "Cut the connection");
  await wire.until(([, second]) => ready(second));
  await breakIt(page, "Deployment");
  await wire.until(([, , third]) => ready(third));
  await page.locator("#state-detail", { hasText: "Gone over to the next connection, without a pause." }).waitFor();
  assert.equal(await question(page).count(), 1);
  await say(page, "Yes, search");
  await finished(page, PERMITTED);

  const [, second, third] = wire.connections;
  assert.ok(second.some(({ type }) => type === "drain"));
  const bye = second.find(({ direction, type }) => direction === "out" && type === "bye");
  assert.equal(bye.code, 4302);
  assert.ok(bye.order > third.find(({ type }) => type === "ready").order, "it left when the next was ready");
  assert.equal(asks(wire).length, 1);
  assert.deepEqual(replies(wire).map(({ payload, error }) => [payload, error]), [[true, undefined]]);
});

test("what is said while the server is away is held back, and counts", async (t) => {
  const { page, wire } = await asked(t);
  await breakIt(page, "Slow service");
  await page.locator('.stage[aria-current="step"]', { hasText: "starting search" }).waitFor();
  // It starts when the test has seen what waits for it.
  await demo.server.fault({ service_delay_ms: { search: 600_000 } });
  await told(page, "2 steps so far. It waits for your answer, which goes out after the reconnect.");
  await say(page, "Yes, search");
  await told(page, "2 steps so far. It goes on at the server; the rest follows after the reconnect.");
  assert.deepEqual(replies(wire), []);
  await demo.server.fault({ service_delay_ms: { search: 0 } });
  await finished(page, PERMITTED);
  assert.equal(replies(wire).length, 1);
});

test("a page that is loaded again shows the run as it was, and is asked anew", async (t) => {
  const { page, wire } = await asked(t);
  await page.reload();
  await question(page).waitFor();
  assert.deepEqual(await steps(page), BEFORE);
  await say(page, "Yes, search");
  await finished(page, PERMITTED);

  const answered = replies(wire).map(({ payload, error }) => error?.code ?? payload);
  assert.deepEqual(answered, ["unhandled", true], "the former page cannot answer any more");
  const [first, second] = wire.connections.map((frames) => frames.find(({ type }) => type === "ready").session);
  assert.deepEqual([second.id, second.resumed], [first.id, true]);
});

test("without an answer the run ends by itself, and a stop takes the question away", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await run(page, 1);
  await told(page, "Ended after 2 steps: nobody answered in time.");
  await question(page).waitFor({ state: "detached" });
  assert.equal(asks(wire).length, 1);

  await run(page);
  await question(page).waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await told(page, "Stopped after 2 steps.");
  await question(page).waitFor({ state: "detached" });
  assert.deepEqual(replies(wire), []);
});
