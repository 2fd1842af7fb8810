// Bundles the entries. The module and its glue are generated before by `cargo xtask package`.

import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = fileURLToPath(new URL("..", import.meta.url));
const glue = `${folder}dist/wasm/readywire.js`;
const module = `${folder}dist/wasm/readywire_bg.wasm`;

for (const file of [glue, module]) {
  if (!existsSync(file)) {
    console.error(`${file} is missing: run \`cargo xtask package\`, which generates it and then calls this build`);
    process.exit(1);
  }
}

/** Puts the generated files in place of the names that the sources import. */
const generated = {
  name: "generated",
  setup(builder) {
    builder.onResolve({ filter: /^readywire-glue$/ }, () => ({ path: glue }));
    builder.onResolve({ filter: /^readywire-module-base64$/ }, () => ({ path: module, namespace: "base64" }));
    builder.onLoad({ filter: /./, namespace: "base64" }, ({ path }) => ({
      contents: `export default ${JSON.stringify(readFileSync(path).toString("base64"))}`,
    }));
  },
};

const shared = {
  absWorkingDir: folder,
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  plugins: [generated],
  logLevel: "warning",
};

await Promise.all([
  build({ ...shared, entryPoints: ["src/index.ts", "src/inline.ts"], platform: "browser" }),
  build({ ...shared, entryPoints: ["src/node.ts"], platform: "node", external: ["ws"] }),
]);

for (const name of ["index.js", "inline.js", "node.js", "wasm/readywire_bg.wasm"]) {
  console.log(`dist/${name}: ${statSync(`${folder}dist/${name}`).size} bytes`);
}
