// The entry for pages that need Core, Resume and Answers alone: another wasm module, and less to load.

import { connectWith } from "./connect.js";
import { load } from "./core/load.js";
import type { Client, ConnectOptions } from "./core/types.js";
import type { EventMap, EventMapOf } from "./types.js";

export * from "./core/api.js";

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
