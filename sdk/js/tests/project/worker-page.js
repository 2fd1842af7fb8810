import { inWorker } from "./scenario.js";

globalThis.result = inWorker(new Worker("./plain-worker.js", { type: "module" }), location.hash);
