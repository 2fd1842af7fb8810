// Writes screenshot.png, the picture of the page in the project's README: a run of the agent that asks before it goes on, a
// chat, and messages held back while a service starts. After a change of the page:
//
//   npm run build && npm run screenshot

import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { breakIt, heard, say, startDemo, state } from "./demo.mjs";

const FILE = fileURLToPath(new URL("../screenshot.png", import.meta.url));
const LIMIT = 250 * 1024;

const demo = await startDemo();
const cleanup = [];
const scene = { after: (action) => cleanup.push(action) };
try {
  const { page } = await demo.open(scene, "alice", { viewport: { width: 1280, height: 864 }, reducedMotion: "reduce" });
  const { page: other } = await demo.open(scene, "bob");
  await state(page, "processing_ready");
  await state(other, "processing_ready");
  await say(page, "Is the report done?");
  await heard(other, "Is the report done?");
  await say(other, "Nearly. I ask the agent.");
  await heard(page, "Nearly. I ask the agent.");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("group", { name: "May I search" }).waitFor();

  await breakIt(page, "Slow service");
  await page.locator('.stage[aria-current="step"]', { hasText: "starting search" }).waitFor();
  await say(page, "Did the connection just break?");
  await say(page, "No matter: this waits until it is ready.");
  await page.locator("#sends-rows .outcome", { hasText: "queued" }).nth(1).waitFor();
  await page.locator("#chat-text").blur();
  await page.screenshot({ path: FILE });
} finally {
  for (const action of cleanup) await action();
  await demo.stop();
}

const { size } = await stat(FILE);
console.log(`${FILE}: ${size} bytes`);
if (size > LIMIT) throw new Error(`that is more than the ${LIMIT} bytes it may have`);
