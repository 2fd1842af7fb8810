// Stays connected for long with short tokens, in a page. It fails on a reconnect or a refusal, and prints what it saw.
//
//   npm run measure:refresh -- --ttl 60s --minutes 5

import { parseArgs } from "node:util";
import { startPacked } from "./packed.mjs";
import { stay } from "./staying.mjs";

const { values } = parseArgs({
  options: { ttl: { type: "string", default: "60s" }, minutes: { type: "string", default: "5" } },
});
const lasts = Number(values.minutes) * 60_000;

const packed = await startPacked();
try {
  const seen = await stay(packed, values.ttl, (_, elapsed) => elapsed >= lasts);
  console.log(`tokens of ${values.ttl} on one connection in Chromium ${packed.browser.version()}`);
  const rows = {
    "the connection lived for": `${(seen.took / 1000).toFixed(1)} s`,
    "tokens refreshed": seen.refreshes,
    "… since the server required it": seen.demands,
    "reconnects, refusals": 0,
    "echoes, the slowest": `${seen.echoes}, ${seen.slowestEcho.toFixed(1)} ms`,
    "lives told, in ms": seen.lives.join(", "),
  };
  for (const [words, value] of Object.entries(rows)) console.log(`  ${words.padEnd(32)}${value}`);
} finally {
  await packed.stop();
}
