// A file goes to the server in parts, once and whole, whatever happens to the connection.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { breakIt, startDemo, state } from "./demo.mjs";
import { sends } from "../../sdk/js/tests/wire.mjs";

/** The most that the page divides a small file into, and more than the server lets be on the way. */
const PARTS = 100;
const FILE = { name: "notes.bin", mimeType: "application/octet-stream", buffer: randomBytes(PARTS * 1024) };

let demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo?.stop());

const card = (page) => page.getByRole("region", { name: "Upload", exact: true });
const press = (page, name) => card(page).getByRole("button", { name, exact: true }).click();
const told = (page, text) => page.locator("#upload-state").filter({ hasText: text }).waitFor();
const bar = (page) => page.getByRole("progressbar", { name: "Read by the server" });

/** Waits until the server has read more than so much, as the page shows it. */
function read(page, bytes) {
  return page.waitForFunction((bytes) => document.getElementById("upload-progress").value > bytes, bytes);
}

const parts = (frames = []) => sends(frames).filter(({ of, end }) => of !== undefined && !end);

test("a file that is cut in the middle, and moves in a deployment, is all there and the same", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await page.getByLabel("File, or none for a made-up one").setInputFiles(FILE);
  await press(page, "Upload");
  await read(page, 0);
  await breakIt(page, "Cut the connection");
  const ready = (frames) => frames?.some(({ type }) => type === "ready") ?? false;
  await wire.until(([, second]) => ready(second));
  await breakIt(page, "Deployment");
  await wire.until(([, , third]) => ready(third));
  const digest = createHash("sha256").update(FILE.buffer).digest("hex");
  await told(page, `All there, and the same: SHA-256 ${digest}`);

  assert.equal(await bar(page).evaluate(({ value, max }) => `${value} of ${max}`), "102400 of 102400");
  assert.equal(await page.locator("#upload-read").textContent(), "102,400 bytes of 102,400 bytes read by the server");
  const row = page.locator("#sends-rows tr", { hasText: "upload" });
  assert.equal(await row.locator(".what").textContent(), "upload notes.bin");
  // Its opening and its end are sends, too.
  assert.equal(await row.locator(".outcome").textContent(), `${PARTS + 2} acknowledged`);
  const ids = wire.connections.flatMap(parts).map(({ id }) => id);
  assert.equal(new Set(ids).size, PARTS);
  const [first, second] = wire.connections;
  assert.ok(parts(first).length < PARTS, "it does not run ahead of the server, and the rest came later");
  assert.ok(second.some(({ type }) => type === "drain"));
});

test("an upload ends when it is stopped, and with the page that has its bytes", async (t) => {
  const { page, wire } = await demo.open(t);
  await state(page, "processing_ready");
  await press(page, "Upload");
  await read(page, 0);
  await press(page, "Cancel");
  await told(page, /^Cancelled\.$/);
  const ends = () => wire.connections.flat().filter(({ direction, end, re }) => direction === "in" && end && re !== undefined);
  await wire.until(() => ends().length === 1);
  assert.equal(ends()[0].error.code, "cancelled");

  await press(page, "Upload");
  await told(page, "On its way.");
  await read(page, 0);
  await page.reload();
  await told(page, "The upload ended with the page that had its bytes.");
  await wire.until(() => ends().length === 2);
  assert.equal(ends()[1].error.code, "cancelled");
});

test("a file that waits for the server says so, and what is empty is a file, too", async (t) => {
  const { page } = await demo.open(t);
  await state(page, "processing_ready");
  await breakIt(page, "Slow service");
  await page.locator('.stage[aria-current="step"]', { hasText: "starting search" }).waitFor();
  await demo.server.fault({ service_delay_ms: { search: 600_000 } });
  await page.getByLabel("File, or none for a made-up one").setInputFiles({ ...FILE, buffer: Buffer.alloc(0) });
  await press(page, "Upload");
  await told(page, "Held back until the server is ready");
  await demo.server.fault({ service_delay_ms: { search: 0 } });
  await told(page, "All there, and the same: SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});
