// Bundles the entries. The modules and their glue are generated before by `cargo xtask package`.

import { existsSync, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = fileURLToPath(new URL("..", import.meta.url));

/** Of the core entries: what they do without has a stand-in. */
const ABSENT = ["carry", "history", "line", "payloads", "questions", "streams", "subscriptions"];

/** Puts the generated files of one module in place of the names that the sources import, and stand-ins in place of others. */
function generated(module, absent = []) {
  const glue = `${folder}dist/wasm/${module}.js`;
  const wasm = `${folder}dist/wasm/${module}_bg.wasm`;
  for (const file of [glue, wasm]) {
    if (existsSync(file)) continue;
    console.error(`${file} is missing: run \`cargo xtask package\`, which generates it and then calls this build`);
    process.exit(1);
  }
  return {
    name: "generated",
    setup(builder) {
      builder.onResolve({ filter: /^readywire-glue$/ }, () => ({ path: glue }));
      builder.onResolve({ filter: /^readywire-module-base64$/ }, () => ({ path: wasm, namespace: "base64" }));
      builder.onLoad({ filter: /./, namespace: "base64" }, ({ path }) => ({
        contents: `export default ${JSON.stringify(readFileSync(path).toString("base64"))}`,
      }));
      builder.onResolve({ filter: /^\.\.?\/\w+\.js$/ }, ({ path }) => {
        const name = basename(path, ".js");
        return absent.includes(name) ? { path: `${folder}src/core/${name}.ts` } : undefined;
      });
    },
  };
}

const shared = { absWorkingDir: folder, outdir: "dist", bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "warning" };
const inBrowser = { ...shared, platform: "browser" };
const inNode = { ...shared, platform: "node", external: ["ws"] };
const whole = [generated("readywire")];
const core = [generated("core", ABSENT)];

await Promise.all([
  build({ ...inBrowser, plugins: whole, entryPoints: ["src/index.ts", "src/inline.ts"] }),
  build({ ...inNode, plugins: whole, entryPoints: ["src/node.ts"] }),
  build({ ...inBrowser, plugins: core, entryPoints: ["src/core.ts"] }),
  build({ ...inNode, plugins: core, entryPoints: ["src/core.node.ts"] }),
]);

const scripts = ["index.js", "inline.js", "node.js", "core.js", "core.node.js"];
for (const name of [...scripts, "wasm/readywire_bg.wasm", "wasm/core_bg.wasm"]) {
  console.log(`dist/${name}: ${statSync(`${folder}dist/${name}`).size} bytes`);
}
