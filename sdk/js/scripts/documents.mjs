// Puts the specification beside the package, where its readers look for it, and keeps half a package from being packed.

import { copyFileSync, existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("..", import.meta.url));
for (const file of ["dist/index.js", "dist/node.js", "dist/inline.js", "dist/index.d.ts", "dist/wasm/readywire_bg.wasm"]) {
  if (!existsSync(folder + file)) {
    console.error(`${file} is missing: run \`cargo xtask package\` first`);
    process.exit(1);
  }
}
copyFileSync(`${folder}../protocol/PROTOCOL.md`, `${folder}PROTOCOL.md`);
