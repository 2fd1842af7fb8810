// Puts the specification beside the package, where its readers look for it, and keeps half a package from being packed.

import { copyFileSync, existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("..", import.meta.url));
const scripts = ["index.js", "node.js", "inline.js", "core.js", "core.node.js", "index.d.ts", "core.d.ts"];
for (const name of [...scripts, "wasm/readywire_bg.wasm", "wasm/core_bg.wasm"]) {
  const file = `dist/${name}`;
  if (!existsSync(folder + file)) {
    console.error(`${file} is missing: run \`cargo xtask package\` first`);
    process.exit(1);
  }
}
copyFileSync(`${folder}../protocol/PROTOCOL.md`, `${folder}PROTOCOL.md`);
