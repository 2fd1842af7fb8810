import { once } from "../once.js";
import { startModule } from "../start.js";

// Bundlers know this expression and bring the file along. It is beside the built script, and not beside this one.
export const load = once(async (source) => startModule(source ?? new URL("./wasm/core_bg.wasm", import.meta.url)));
