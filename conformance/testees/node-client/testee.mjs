// The npm package as a testee in Node: orders on standard input, reports on standard output, one JSON object in each line.
//
//   node testee.mjs [PACKAGE]    PACKAGE: the entry to load, by default the one that `cargo xtask package` has built

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { serve } from "../browser-client/runs.js";

const built = new URL("../../../sdk/js/dist/node.js", import.meta.url);
const entry = process.argv[2] === undefined ? built : pathToFileURL(process.argv[2]);
const readywire = await import(entry.href);

const take = serve(readywire, "readywire (Node)", (report) => process.stdout.write(`${JSON.stringify(report)}\n`));

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => take(JSON.parse(line)));
lines.on("close", () => process.exit());
