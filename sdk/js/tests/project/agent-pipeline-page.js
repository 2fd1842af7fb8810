// The page's half of agent-pipeline.mjs: one run, and how long everything in it took.

import { connect } from "./node_modules/readywire/dist/index.js";

/** What an event may take at most. */
const LIMIT_MS = 2000;

globalThis.play = async (url, token, prompt) => {
  const signal = () => AbortSignal.timeout(LIMIT_MS);
  let notified;
  const notification = new Promise((resolve) => (notified = resolve));
  const begun = performance.now();
  const client = await connect(url, { token: () => token, onmessage: () => notified(performance.now()) });
  const ready = performance.now() - begun;

  const events = [];
  const asked = performance.now();
  let before = asked;
  const answer = client.stream("agent.run", { prompt, pace_ms: 0 });
  for (;;) {
    const { done } = await within(answer.next(), signal());
    if (done) break;
    const now = performance.now();
    events.push(now - before);
    before = now;
  }
  const run = performance.now() - asked;

  const sent = performance.now();
  await client.send("notify", { subject: "alice", text: "done" });
  const told = (await within(notification, signal())) - sent;
  await client.close();
  return { ready, events, run, notification: told };
};

function within(promise, signal) {
  return Promise.race([
    promise,
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })),
  ]);
}
