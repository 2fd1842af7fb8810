// First messages at existing servers: how many are lost, with Readywire and without.
//
//   node tests/existing/first-messages.mjs [TIMES]    default: 1000
//
// Needs the built package and server: `cargo xtask package && cargo build -p readywire-server`. Fails if a first message
// is lost where none may be.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as readywire from "../../dist/node.js";
import { startServer } from "../server.mjs";
import { lost, runs } from "./runs.mjs";
import { chatServer, graphqlServer } from "./servers.mjs";

const times = Number(process.argv[2] ?? 1000);
const folder = await mkdtemp(join(tmpdir(), "readywire-existing-"));
const chat = await chatServer();
const graphql = await graphqlServer();
const gateway = await startServer(folder, [
  "gateway", "--upstream", chat.url, "--ready-when", "/type=welcome", "--anonymous", "--anonymous-sessions", "10000",
]);

const rows = [
  ["ws client, ws server", runs.plainClient, chat.url, false],
  ["connectExisting, ws server", runs.existingMode, chat.url, true],
  ["ws client, gateway, ws server", runs.plainClient, gateway.url, true],
  ["connect, gateway, ws server", runs.protocolClient, gateway.url, true],
  ["ws client, graphql-ws server", runs.plainGraphql, graphql.url, false],
  ["connectExisting, graphql-ws server", runs.existingGraphql, graphql.url, true],
];
try {
  console.log(`first messages lost in ${times} connects`);
  for (const [name, run, url, holds] of rows) {
    const missing = await lost(run, times, url, readywire);
    console.log(`  ${name.padEnd(36)}${String(missing).padStart(6)}`);
    if (holds) assert.equal(missing, 0, name);
    // Otherwise this would show nothing.
    else assert.ok(missing > 0, `${name}: nothing was lost`);
  }
} finally {
  await gateway.stop();
  await chat.stop();
  await graphql.stop();
  await rm(folder, { recursive: true });
}
