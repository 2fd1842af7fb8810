import initialise, { RawClient } from "readywire-glue";
import { once } from "./once.js";

export const load = once(async (source) => {
  // Bundlers know this expression and bring the file along.
  await initialise({ module_or_path: source ?? new URL("./wasm/readywire_bg.wasm", import.meta.url) });
  return RawClient;
});
