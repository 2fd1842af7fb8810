import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startDemo, state } from "./demo.mjs";

let demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo?.stop());

test("the plain WebSocket loses its three messages, Readywire none", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  await page.getByRole("button", { name: "Run both" }).click();
  // Who goes on with something else meanwhile is not called back.
  const message = page.getByRole("textbox", { name: "Message", exact: true });
  await message.focus();
  await page.locator("#plain-result", { hasText: "3 of 3 lost, without any error." }).waitFor();
  await page.locator("#readywire-result", { hasText: "None lost." }).waitFor();

  const outcomes = (lane) => page.locator(`#${lane}-messages .outcome`).allTextContents();
  for (const outcome of await outcomes("plain")) assert.match(outcome, /^sent at \d+ ms, lost$/);
  for (const outcome of await outcomes("readywire")) assert.match(outcome, /^answered at \d+ ms$/);
  const answered = (await outcomes("readywire")).map((outcome) => Number.parseInt(outcome.replace(/\D+/, ""), 10));
  assert.ok(answered.every((milliseconds) => milliseconds >= 1500), `not before the services ran: ${answered}`);
  assert.ok(await message.evaluate((field) => field === document.activeElement));
  await page.locator('#compare[aria-disabled="false"]').waitFor();
  assert.equal(await page.locator("#state").textContent(), "processing ready", "the page's own connection saw nothing of it");
});
