// The main entry: the wasm module is a file beside this one, found by URL.

import type { Client } from "./client.js";
import { connectWith } from "./connect.js";
import { connectExistingWith } from "./existing.js";
import type { ExistingClient, UnconfirmedClient } from "./existing.js";
import type { ExistingOptions, UnconfirmedOptions } from "./existing-options.js";
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

/**
 * Connects to a server that does not speak the protocol, and resolves once `readyWhen` has recognised its own word that it
 * is ready; without a `readyWhen`, once the socket is open, as an `UnconfirmedClient`: then nobody knows.
 */
export function connectExisting<In = string, Out = string>(
  url: string | URL,
  options: ExistingOptions<In, Out>,
): Promise<ExistingClient<In, Out>>;
export function connectExisting<In = string, Out = string>(
  url: string | URL,
  options?: UnconfirmedOptions<In, Out>,
): Promise<UnconfirmedClient<In, Out>>;
export function connectExisting<In, Out>(
  url: string | URL,
  options: ExistingOptions<In, Out> | UnconfirmedOptions<In, Out> = {},
): Promise<unknown> {
  return connectExistingWith(load, url, options);
}
