// The demo as its visitors meet it: the real server, the built page, a browser. One for each test file, since faults
// concern the whole server.
//
//   READYWIRE_SERVER   the server to run; default ../target/debug/readywire-server
//   CHROMIUM           the browser; default /usr/bin/chromium

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launchBrowser } from "../../sdk/js/tests/browser.mjs";
import { startServer } from "../../sdk/js/tests/server.mjs";
import { record } from "../../sdk/js/tests/wire.mjs";

const built = fileURLToPath(new URL("../dist", import.meta.url));
/** What the browser itself says about a network that fails, as it does here on purpose. */
const NETWORK = /^(WebSocket connection to|Failed to load resource)/;

export async function startDemo() {
  if (!existsSync(built)) throw new Error(`${built} is missing: run \`npm run build\``);
  const folder = await mkdtemp(join(tmpdir(), "readywire-demo-"));
  const server = await startServer(folder, ["--faults", "--web-root", built]);
  const browser = await launchBrowser();
  const rooms = new Map();
  let room = 0;

  return {
    server,
    /** Opens the page for a user, in a browser profile of their own. The test fails if the console complains. */
    async open(t, subject = "alice", profile = {}) {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...profile });
      const complaints = [];
      context.on("console", (message) => {
        if (message.type() === "error" && !NETWORK.test(message.text())) complaints.push(message.text());
      });
      context.on("weberror", (error) => complaints.push(String(error.error())));
      t.after(async () => {
        await context.close();
        await server.fault({ reset: true });
        assert.deepEqual(complaints, [], "the console is quiet");
      });
      const page = await context.newPage();
      const wire = record(page);
      const token = subject === null ? "" : `#token=${await server.token(subject)}`;
      // A room for each test: a room keeps what was said.
      if (!rooms.has(t)) rooms.set(t, `r${++room}`);
      await page.goto(`${server.origin}/?room=${rooms.get(t)}${token}`);
      return { page, wire };
    },
    async stop() {
      await browser.close();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until the pill says so. */
export function state(page, name) {
  return page.locator(`#state[data-state="${name}"]`).waitFor();
}

/** Presses a button of the panel that breaks things. */
export function breakIt(page, name) {
  return page.getByRole("region", { name: "Break it" }).getByRole("button", { name, exact: true }).click();
}

/** Types a message into the chat, as a person does. */
export async function say(page, text) {
  const field = page.getByRole("textbox", { name: "Message", exact: true });
  await field.fill(text);
  await field.press("Enter");
}

/** The texts of the chat, oldest first. */
export function said(page) {
  return page.getByRole("log", { name: "Messages", exact: true }).locator(".text").allTextContents();
}

/** Waits until a text stands in the chat. */
export function heard(page, text) {
  return page.getByRole("log", { name: "Messages", exact: true }).getByText(text, { exact: true }).first().waitFor();
}
