// Plays the agent of the reference server from end to end in a page of Chromium, over and over, each time on a new
// connection: connect, ask, read every event to the end, get a notification, close. It judges nothing: the numbers are
// this machine's. Run it by `npm run measure:agent`.

import { startPacked } from "./packed.mjs";

const RUNS = 1000;
const PROMPT = "How does a session resume after a cut?";
/** One before, one for each word, three behind. */
const EVENTS = PROMPT.split(" ").length + 4;

const { server, pages, browser, stop } = await startPacked();
try {
  const times = { ready: [], event: [], run: [], notification: [] };
  const failures = [];
  const page = await browser.newPage();
  await page.goto(`${pages.origin}/agent-pipeline.html`);
  await page.waitForFunction(() => globalThis.play !== undefined);
  const token = await server.token("alice");
  for (let index = 0; index < RUNS; index++) {
    try {
      const run = await page.evaluate((given) => globalThis.play(...given), [server.url, token, PROMPT]);
      if (run.events.length !== EVENTS) throw new Error(`${run.events.length} events`);
      times.ready.push(run.ready);
      times.event.push(...run.events);
      times.run.push(run.run);
      times.notification.push(run.notification);
    } catch (failure) {
      failures.push(String(failure));
    }
  }
  const metrics = await (await fetch(`${server.origin}/metrics`)).text();
  const refusals = metrics.split("\n").filter((line) => line.startsWith("readywire_auth_refusals_total{"));
  const refused = refusals.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);

  console.log(`${RUNS} runs in Chromium ${browser.version()}, each on a new connection, ${EVENTS} events each`);
  console.log(["".padEnd(44), "count".padStart(8), ...["p50 ms", "p99 ms", "max ms"].map((word) => word.padStart(10))].join(""));
  for (const [name, words] of Object.entries({
    ready: "connect() to ready",
    event: "each event after the one before (or the ask)",
    run: "ask to the last event",
    notification: "notify to the notification",
  })) {
    const sorted = times[name].sort((left, right) => left - right);
    const at = (share) => sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)];
    const columns = [at(0.5), at(0.99), sorted.at(-1)].map((value) => (value ?? NaN).toFixed(2).padStart(10));
    console.log([words.padEnd(44), String(sorted.length).padStart(8), ...columns].join(""));
  }
  console.log(`events over 2 s, and other failures: ${failures.length}; tokens refused: ${refused}`);
  for (const failure of failures.slice(0, 5)) console.log(`  ${failure}`);
} finally {
  await stop();
}
