import type { Reached } from "./base.js";
import { Keeper } from "./carry.js";
import { Client } from "./client.js";
import { ConnectError, ReadywireError, describeStage } from "./errors.js";
import type { Loader, RawClientConstructor } from "./raw.js";
import type { BaseOptions, ConnectOptions, EventMapOf } from "./types.js";

/** `connect`, over whatever brings the wasm module. */
export function connectWith<M extends EventMapOf<M>>(
  load: Loader,
  url: string | URL,
  options: ConnectOptions<M>,
): Promise<Client<M>> {
  return connectThrough(
    load,
    url,
    options,
    async (constructor, address) => {
      const keeper = options.carryOver === undefined ? null : await Keeper.open(options.carryOver, address);
      return Client.open<M>(constructor, address, options, keeper);
    },
    (client) => client.ready(),
  );
}

/** What an attempt needs of whichever client it is for. */
interface Connecting {
  readonly last: Reached;
  close(options: { deadlineMs: number }): Promise<void>;
}

/** Loads the module, opens a client, and waits until it is ready. */
export async function connectThrough<C extends Connecting>(
  load: Loader,
  url: string | URL,
  options: BaseOptions,
  open: (constructor: RawClientConstructor, address: string) => C | Promise<C>,
  ready: (client: C) => Promise<void>,
): Promise<C> {
  const address = webSocketAddress(url);
  options.signal?.throwIfAborted();
  // Ends with the attempt, whereas the application's signal goes on to govern the client.
  const attempt = new AbortController();
  const onAbort = (): void => attempt.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const timer =
    options.readyTimeoutMs === undefined
      ? undefined
      : setTimeout(() => attempt.abort(new DOMException("not ready in time", "TimeoutError")), options.readyTimeoutMs);
  let client: C | undefined;
  try {
    const constructor = await unlessAborted(loadModule(load, options), attempt.signal, undefined);
    client = await open(constructor, address);
    attempt.signal.throwIfAborted();
    if (options.resolveWhen !== "dialling") await unlessAborted(ready(client), attempt.signal, client);
    return client;
  } catch (error) {
    void client?.close({ deadlineMs: 0 });
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

async function loadModule(load: Loader, options: BaseOptions): Promise<RawClientConstructor> {
  try {
    return await load(options.wasm);
  } catch (error) {
    if (error instanceof ReadywireError) throw error;
    throw new ConnectError(`the wasm module of readywire could not be loaded: ${String(error)}`, {
      stage: "connecting",
      code: "wasm_unavailable",
      retryable: true,
      remedy:
        'Serve the wasm file of the package beside the script, pass its address as the option `wasm`, or import from "readywire/inline". ' +
        "A content security policy must allow 'wasm-unsafe-eval'.",
      cause: error,
    });
  }
}

/** Waits, but not longer than the signal allows. A timeout names how far it came; other reasons stand for themselves. */
async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  client: Connecting | undefined,
): Promise<T> {
  let stop!: () => void;
  const aborted = new Promise<void>((resolve) => (stop = resolve));
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  // It may fail after the signal; that must not count as unhandled.
  work.catch(() => {});
  try {
    await Promise.race([aborted, work]);
  } catch (error) {
    // The signal closes the client, and so fails the work as well: the signal is the reason.
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
  if (signal.aborted) throw abortError(signal.reason, client);
  return work;
}

function abortError(reason: unknown, client: Connecting | undefined): unknown {
  if ((reason as { name?: unknown } | undefined)?.name !== "TimeoutError") return reason;
  const { stage, pending }: Reached = client?.last ?? { stage: "connecting", pending: [] };
  return new ConnectError(`not ready in time: ${describeStage(stage, pending)}`, {
    stage,
    pending,
    code: "timeout",
    retryable: true,
    remedy: "Allow more time, or look at the server's log for what the last stage waits for.",
    cause: reason,
  });
}

/** An absolute WebSocket address. Relative and http addresses mean what they mean to a page. */
function webSocketAddress(url: string | URL): string {
  const base: string | undefined = typeof location === "undefined" ? undefined : location.href;
  const address = new URL(url, base);
  if (address.protocol === "http:") address.protocol = "ws:";
  if (address.protocol === "https:") address.protocol = "wss:";
  if (address.protocol !== "ws:" && address.protocol !== "wss:") {
    throw new TypeError(`"${address.protocol}" is not a WebSocket address: it begins with ws: or wss:`);
  }
  address.hash = "";
  return address.href;
}
