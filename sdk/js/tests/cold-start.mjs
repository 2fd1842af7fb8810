// Measures how long the first connect() of a page takes, in fresh browser profiles with nothing cached, against a server
// on this machine that is warm. It judges nothing: the numbers are this machine's. Run it by `npm run measure`.

import { startPacked } from "./packed.mjs";

const PAGES = 20;
const ROWS = {
  fetched: "the module has been fetched",
  instantiated: "… compiled and instantiated",
  started: "… started: connect() has a client that dials",
  ready: "the server has said that it is ready",
};

const { server, pages, browser, stop } = await startPacked();
try {
  const runs = [];
  // The first page warms the server and the browser up, and does not count.
  for (let index = 0; index <= PAGES; index++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${pages.origin}/cold-start.html`);
    const token = await server.token("alice");
    const run = await page.evaluate((given) => globalThis.measure(...given), [server.url, token]);
    if (index > 0) runs.push(run);
    await context.close();
  }
  console.log(`milliseconds since connect() was called, ${PAGES} fresh pages in Chromium ${browser.version()}`);
  console.log(`  ${"".padEnd(48)}${"median".padStart(8)}${"least".padStart(8)}${"most".padStart(8)}`);
  for (const [name, words] of Object.entries(ROWS)) {
    const sorted = runs.map((run) => run[name]).sort((left, right) => left - right);
    const median = (sorted[PAGES / 2 - 1] + sorted[PAGES / 2]) / 2;
    const columns = [median, sorted[0], sorted.at(-1)].map((value) => value.toFixed(1).padStart(8));
    console.log(`  ${words.padEnd(48)}${columns.join("")}`);
  }
} finally {
  await stop();
}
