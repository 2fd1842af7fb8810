import { ConnectError } from "./errors.js";
import { once } from "./once.js";
import type { Loader } from "./raw.js";
import { startModule } from "./start.js";

export const load = loadFrom("readywire_bg.wasm");

/** Loads the module of this name, which lies below the built script. */
export function loadFrom(name: string): Loader {
  return once(async (source) => {
    await provideWebSocket();
    return startModule(source ?? (await readModule(name)));
  });
}

async function readModule(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { readFile } = await import("node:fs/promises");
  return readFile(new URL(`./wasm/${name}`, import.meta.url));
}

/** The module looks for `WebSocket` where a page has it. Node has it there from version 22. */
async function provideWebSocket(): Promise<void> {
  if (typeof globalThis.WebSocket !== "undefined") return;
  let ws;
  try {
    ws = (await import("ws")).WebSocket;
  } catch (error) {
    throw new ConnectError("this Node has no WebSocket, and the package ws is not installed", {
      stage: "connecting",
      code: "websocket_unavailable",
      remedy: "Run `npm install ws`, or use Node 22 or later.",
      cause: error,
    });
  }
  // The protocol allows no extensions, and compression would cost more than it saves on small messages.
  class PlainWebSocket extends ws {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols ?? [], { perMessageDeflate: false });
      // Here an error that nobody listens to ends the process. `close` comes behind it, and is what counts.
      this.addEventListener("error", () => {});
    }
  }
  globalThis.WebSocket = PlainWebSocket as unknown as typeof WebSocket;
}
