import { RawClient, imports, start } from "readywire-glue";
import type { RawClientConstructor, WasmSource } from "./raw.js";

/** Starts the wasm module. What type the server says the file is of does not matter. */
export async function startModule(source: WasmSource): Promise<RawClientConstructor> {
  const instance = await instantiate(source);
  start(instance.exports);
  return RawClient;
}

async function instantiate(source: WasmSource): Promise<WebAssembly.Instance> {
  if (typeof source === "string" || source instanceof URL) source = await fetch(source);
  if (source instanceof WebAssembly.Module) return WebAssembly.instantiate(source, imports);
  if (source instanceof Response) {
    if (!source.ok) throw new Error(`${source.url} answers ${source.status}`);
    source = await source.arrayBuffer();
  }
  return (await WebAssembly.instantiate(source as BufferSource, imports)).instance;
}
