// By keyboard alone, by name, and on a small screen.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { breakIt, heard, say, startDemo, state } from "./demo.mjs";

let demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo?.stop());

/** Presses Tab until something of this role and name has the focus. */
async function tabTo(page, role, name) {
  const wanted = page.getByRole(role, { name, exact: true });
  const focused = () => wanted.evaluate((element) => element === document.activeElement);
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press("Tab");
    if (await focused()) return wanted;
  }
  throw new Error(`Tab never comes to the ${role} "${name}"`);
}

const focusedName = (page) => page.evaluate(() => document.activeElement?.textContent);

test("the chat and the agent work by keyboard alone", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  // A run of this is still under way when the keyboard has come to its button.
  await page.evaluate(() => (document.getElementById("agent-prompt").value += " And then?".repeat(30)));
  await page.keyboard.press("Tab");
  assert.equal(await focusedName(page), "Skip to the chat");
  await page.keyboard.press("Enter");

  const message = await tabTo(page, "textbox", "Message");
  await page.keyboard.type("by hand");
  await page.keyboard.press("Enter");
  await heard(page, "by hand");
  assert.ok(await message.evaluate((field) => field === document.activeElement && field.value === ""), "ready for the next");

  const run = await tabTo(page, "button", "Run");
  await page.keyboard.press("Space");
  await page.locator(".step").nth(1).waitFor();
  assert.ok(await run.evaluate((button) => button === document.activeElement), "the focus stays");
  await tabTo(page, "button", "Stop");
  await page.keyboard.press("Space");
  await page.locator("#agent-state", { hasText: "Stopped after" }).waitFor();
  assert.equal(await focusedName(page), "Stop");
});

test("a question is answered by keyboard alone", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  const prompt = await tabTo(page, "textbox", "Prompt");
  await prompt.fill("readiness");
  await page.keyboard.press("Enter");
  await page.getByRole("group", { name: "May I search the documentation for “readiness”?" }).waitFor();
  assert.ok(await prompt.evaluate((field) => field === document.activeElement), "nobody is called away");
  await tabTo(page, "button", "Yes, search");
  await page.keyboard.press("Space");
  assert.equal(await page.evaluate(() => document.activeElement.id), "agent-state");
  await page.locator("#agent-state", { hasText: "Finished after" }).waitFor();
});

test("the keyboard goes on after connecting again", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  await breakIt(page, "Expired token");
  await state(page, "closed");
  await breakIt(page, "Reset");
  await page.getByRole("button", { name: "Connect again" }).focus();
  await page.keyboard.press("Enter");
  await state(page, "processing_ready");
  assert.equal(await page.evaluate(() => document.activeElement.id), "state-detail");
});

test("everything that can be used has a name", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  const regions = ["Connection", "Break it", "Chat", "Agent run", "Sends", "Notifications", "Upload", "Side by side"];
  for (const name of regions) await page.getByRole("region", { name, exact: true }).waitFor();
  const textboxes = ["Message", "Prompt", "To", "Text"];
  for (const name of textboxes) await page.getByRole("textbox", { name, exact: true }).waitFor();
  assert.equal(await page.getByRole("textbox").count(), textboxes.length);
  const logs = ["Messages", "Steps of the run", "Notifications received"];
  for (const name of logs) await page.getByRole("log", { name, exact: true }).waitFor();
  assert.equal(await page.getByRole("log").count(), logs.length);
  for (const name of ["Ask first", "Do not wait"]) await page.getByRole("checkbox", { name, exact: true }).waitFor();
  await page.getByRole("spinbutton", { name: "Seconds to wait for an answer", exact: true }).waitFor();
  await page.getByRole("progressbar", { name: "Read by the server", exact: true }).waitFor();
  await page.getByLabel("File, or none for a made-up one").waitFor();
  for (const button of await page.locator("button:visible").all()) assert.match(await button.innerText(), /\w/);
  assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
  assert.equal(await page.getByRole("columnheader").count(), 3);
  for (const image of await page.locator("img").all()) assert.notEqual(await image.getAttribute("alt"), null);
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing is wider than a phone (${colorScheme})`, async (t) => {
    const { page } = await demo.open(t, "somebody-with-quite-a-long-name-of-their-own", {
      viewport: { width: 390, height: 844 },
      deviceScaleFactor: 2,
      isMobile: true,
      hasTouch: true,
      colorScheme,
    });
    await state(page, "processing_ready");
    await page.locator("summary", { hasText: "On the wire" }).click();
    await say(page, "unbreakable".repeat(30));
    await heard(page, "unbreakable".repeat(30));
    await page.getByRole("textbox", { name: "Prompt" }).fill("unbreakable".repeat(30));
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.getByRole("group", { name: "May I search" }).waitFor();
    const file = { name: "unbreakable".repeat(10), mimeType: "text/plain", buffer: Buffer.alloc(2048) };
    await page.getByLabel("File, or none for a made-up one").setInputFiles(file);
    await page.getByRole("button", { name: "Upload", exact: true }).click();
    await page.locator("#upload-state", { hasText: "All there" }).waitFor();
    await breakIt(page, "Impaired service");
    await state(page, "degraded");
    await page.getByRole("button", { name: "Run both" }).click();
    await page.locator("#readywire-result", { hasText: "None lost." }).waitFor();
    assert.equal(await page.evaluate(() => innerWidth), 390);
    // Neither the page nor a list within it; only a field scrolls its own text.
    const wide = await page.evaluate(() =>
      [...document.querySelectorAll("*")]
        .filter((part) => part.scrollWidth > part.clientWidth && getComputedStyle(part).overflowX !== "visible")
        .filter((part) => part.localName !== "input" && part.className !== "hidden")
        .map((part) => `${part.localName} ${part.id} ${part.className}`),
    );
    assert.deepEqual(wide, []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  });
}
