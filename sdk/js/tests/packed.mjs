import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { launchBrowser } from "./browser.mjs";
import { serveFolder } from "./serve-folder.mjs";
import { startServer } from "./server.mjs";

const run = promisify(execFile);
const sdk = fileURLToPath(new URL("..", import.meta.url));

/**
 * Packs the package and installs it into a fresh copy of `project`, as users would; then starts what its pages need: a
 * web server, the real server with further `options`, and a browser.
 */
export async function startPacked(options = []) {
  const folder = await mkdtemp(join(tmpdir(), "readywire-package-"));
  const parts = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const part of parts.splice(0).reverse()) await part();
  };
  try {
    const project = join(folder, "project");
    await install(folder, project);
    const pages = await serveFolder(project);
    parts.push(() => pages.close());
    const server = await startServer(folder, ["--allow-origin", pages.origin, ...options]);
    parts.push(() => server.stop());
    const browser = await launchBrowser();
    parts.push(() => browser.close());
    return { project, pages, server, browser, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * A new page of the browser for the test `t`; a complaint of its console fails the test. `watch` sees the page before it
 * loads `path`, and what it returns comes along.
 */
export async function openPage({ browser, pages }, t, path, watch) {
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  t.after(async () => {
    await page.close();
    assert.deepEqual(complaints, []);
  });
  const seen = watch(page);
  await page.goto(`${pages.origin}${path}`);
  return { page, seen };
}

async function install(folder, project) {
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: sdk });
  // `prepack` may print before the JSON.
  const packed = JSON.parse(stdout.slice(stdout.search(/^[[{]/m)));
  const { filename } = Array.isArray(packed) ? packed[0] : (Object.values(packed)[0] ?? packed);
  await mkdir(project);
  await cp(join(sdk, "tests/project"), project, { recursive: true });
  await writeFile(join(project, "package.json"), '{ "name": "project", "private": true, "type": "module" }\n');
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, filename)], { cwd: project });
}
