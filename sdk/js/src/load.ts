import { once } from "./once.js";
import { startModule } from "./start.js";

// Bundlers know this expression and bring the file along.
export const load = once(async (source) => startModule(source ?? new URL("./wasm/readywire_bg.wasm", import.meta.url)));
