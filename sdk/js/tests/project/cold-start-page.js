// One measurement for each page: only the first connect() of a page starts the module.

import { connect } from "./node_modules/readywire/dist/index.js";

globalThis.measure = async (url, token) => {
  let compiled;
  const { instantiateStreaming } = WebAssembly;
  WebAssembly.instantiateStreaming = async (...given) => {
    const result = await instantiateStreaming.apply(WebAssembly, given);
    compiled = performance.now();
    return result;
  };
  const begun = performance.now();
  const client = await connect(url, { token: () => token, resolveWhen: "dialling" });
  const started = performance.now();
  await client.ready();
  const ready = performance.now();
  await client.close();
  const [file] = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".wasm"));
  return {
    fetched: file.responseEnd - begun,
    instantiated: compiled - begun,
    started: started - begun,
    ready: ready - begun,
  };
};
