// The main entry: the wasm module is a file beside this one, found by URL.

import type { Client } from "./client.js";
import { connectWith } from "./connect.js";
import { load } from "./load.js";
import type { ConnectOptions, EventMap, EventMapOf } from "./types.js";

export * from "./api.js";

/**
 * Connects, and resolves once the server has confirmed that it will process the next message. Rejects with a
 * `ConnectError` that names the last stage when it never will. What can be retried is retried: `readyTimeoutMs` bounds
 * how long.
 */
export function connect<M extends EventMapOf<M> = EventMap>(
  url: string | URL,
  options: ConnectOptions<M> = {},
): Promise<Client<M>> {
  return connectWith(load, url, options);
}
