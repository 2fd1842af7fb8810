import { loadFrom } from "../load.node.js";

export const load = loadFrom("core_bg.wasm");
