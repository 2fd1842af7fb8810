import { connect } from "readywire";
import { connect as connectCore } from "readywire/core";
import { connect as connectInline } from "readywire/inline";
import { given, inWorker, scenario } from "./scenario.js";

globalThis.result = (async () => ({
  main: await scenario(connect, ...given(location.hash)),
  inline: await scenario(connectInline, ...given(location.hash)),
  core: await scenario(connectCore, ...given(location.hash)),
  worker: await inWorker(new Worker(new URL("./vite-worker.js", import.meta.url), { type: "module" }), location.hash),
}))();
