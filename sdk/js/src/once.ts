import type { Loader, RawClientConstructor, WasmSource } from "./raw.js";

/** A loader that starts the module once. A failure is not kept: the next attempt may find the file. */
export function once(start: (source: WasmSource | undefined) => Promise<RawClientConstructor>): Loader {
  let started: Promise<RawClientConstructor> | undefined;
  return (source) => {
    started ??= start(source).catch((error: unknown) => {
      started = undefined;
      throw error;
    });
    return started;
  };
}
