// Packs the package, installs it into a fresh project, and runs it there as users would: in Node, in a page that Vite
// built, in a page without any build, and in workers, against the real server.
//
//   READYWIRE_SERVER   the server to run; default ../../target/debug/readywire-server
//   CHROMIUM           the browser; default /usr/bin/chromium

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "vite";
import { startPacked } from "./packed.mjs";
import { compilable } from "./snippets.mjs";

const run = promisify(execFile);
const sdk = fileURLToPath(new URL("..", import.meta.url));
const DEADLINE = { timeout: 120_000 };

let packed;
let project;
let pages;
let server;
let browser;

before(async () => {
  packed = await startPacked();
  ({ project, pages, server, browser } = packed);
}, DEADLINE);

after(() => packed?.stop(), DEADLINE);

/** What every run has to come to. */
function check({ states, pendingAtReady, echoed, ids, received, steps, within, unfit, missing, last }) {
  assert.deepEqual(states.slice(0, 5), ["connecting", "accepted", "authenticated", "services_ready", "processing_ready"]);
  assert.deepEqual(pendingAtReady, []);
  assert.deepEqual(echoed, { text: 'ünï "quoted" 🦀', list: [1, 2.5, null] });
  assert.equal(ids.length, 10);
  assert.ok(ids.every((id, index) => index === 0 || id > ids[index - 1]), `ids in order: ${ids}`);
  assert.deepEqual(received, Array.from({ length: 10 }, (_, index) => `message ${index}`));
  assert.equal(steps[0], "agent_started");
  assert.equal(steps.at(-1), "agent_completed");
  assert.equal(within, "from within");
  assert.equal(unfit, "payload_invalid");
  assert.equal(missing, "RefusedError");
  assert.equal(last, "closed");
}

/** Opens a page, and gives what it came to; a single console error fails it. */
async function inPage(path, t) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => complaints.push(`${request.url()} ${request.failure()?.errorText}`));
  const query = new URLSearchParams({ url: server.url, token: await server.token("alice") });
  await page.goto(`${pages.origin}/${path}#${query}`);
  const result = await page.evaluate(() => globalThis.result).catch((error) => {
    throw new Error(`${error.message}\n${complaints.join("\n")}`);
  });
  assert.deepEqual(complaints, []);
  return result;
}

test("the tarball holds what it should, and nothing else", async () => {
  const { exports, ...manifest } = JSON.parse(await readFile(join(project, "node_modules/readywire/package.json"), "utf8"));
  assert.equal(Object.keys(exports["."])[0], "types");
  assert.equal(manifest.sideEffects, false);
  const specification = await readFile(join(project, "node_modules/readywire/PROTOCOL.md"), "utf8");
  assert.match(specification, /readywire\.v1/);
  for (const name of ["src", "tests", "build", "Cargo.toml"]) {
    await assert.rejects(readFile(join(project, "node_modules/readywire", name)), { code: "ENOENT" });
  }
});

/** Has the compiler judge a file of the project, as users would. */
async function compile(file, ...resolution) {
  const options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--types", "", ...resolution];
  await run(join(sdk, "node_modules/.bin/tsc"), [...options, file], { cwd: project }).catch((error) => {
    throw new Error(error.stdout);
  });
}

test("the packed types serve a project, with either way to resolve modules", DEADLINE, async () => {
  await compile("typed.ts", "--module", "nodenext");
  await compile("typed.ts", "--module", "esnext", "--moduleResolution", "bundler");
});

test("what the pages show compiles against the package", DEADLINE, async () => {
  const pages = { packed: join(project, "node_modules/readywire/README.md"), project: join(sdk, "../../README.md") };
  for (const [name, page] of Object.entries(pages)) {
    const { count, source } = compilable(await readFile(page, "utf8"));
    assert.ok(count >= 2, `${page} shows ${count} snippets`);
    await writeFile(join(project, `${name}.ts`), source);
    await compile(`${name}.ts`, "--module", "nodenext");
  }
});

test("Node", DEADLINE, async () => {
  const { stdout } = await run(process.execPath, ["node.mjs", server.url, await server.token("alice")], { cwd: project, timeout: 60_000 });
  check(JSON.parse(stdout));
});

test("the core entry in Node, and what it does without", DEADLINE, async () => {
  const { stdout } = await run(process.execPath, ["core.mjs", server.url, await server.token("alice")], { cwd: project, timeout: 60_000 });
  const { result, absent } = JSON.parse(stdout);
  check(result);
  const unsupported = "unsupported";
  const names = ["topics", "history", "publish", "streams", "questions", "bytes", "carryOver"];
  assert.deepEqual(absent, Object.fromEntries(names.map((name) => [name, unsupported])));
});

test("Vite", DEADLINE, async (t) => {
  await build({
    root: project,
    base: "./",
    logLevel: "error",
    worker: { format: "es" },
    build: { outDir: "built", emptyOutDir: true, rollupOptions: { input: join(project, "vite.html") } },
  });
  const results = await inPage("built/vite.html", t);
  assert.deepEqual(Object.keys(results), ["main", "inline", "core", "worker"]);
  for (const result of Object.values(results)) check(result);
});

test("a page without a build", DEADLINE, async (t) => {
  const results = await inPage("plain.html", t);
  assert.deepEqual(Object.keys(results), ["main", "inline", "core"]);
  for (const result of Object.values(results)) check(result);
});

test("a dedicated worker without a build", DEADLINE, async (t) => {
  check(await inPage("worker.html", t));
});

test("a token that does not hold is a readable error in a page", DEADLINE, async (t) => {
  const { name, code, stage, remedy } = await inPage("refused.html", t);
  assert.deepEqual({ name, code, stage }, { name: "ConnectError", code: 4104, stage: "accepted" });
  assert.notEqual(remedy, "");
});
