import { Keeper } from "./carry.js";
import { Client } from "./client.js";
import { ConnectError, ReadywireError, describeStage } from "./errors.js";
import type { Loader, RawClientConstructor } from "./raw.js";
import type { ConnectOptions, EventMapOf } from "./types.js";

/** `connect`, over whatever brings the wasm module. */
export async function connectWith<M extends EventMapOf<M>>(
  load: Loader,
  url: string | URL,
  options: ConnectOptions<M>,
): Promise<Client<M>> {
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
  let client: Client<M> | undefined;
  try {
    const constructor = await unlessAborted(loadModule(load, options), attempt.signal, undefined);
    const keeper = options.carryOver === undefined ? null : await Keeper.open(options.carryOver, address);
    attempt.signal.throwIfAborted();
    client = Client.open<M>(constructor, address, options, keeper);
    if (options.resolveWhen !== "dialling") await unlessAborted(client.ready(), attempt.signal, client);
    return client;
  } catch (error) {
    void client?.close({ deadlineMs: 0 });
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

async function loadModule<M extends EventMapOf<M>>(
  load: Loader,
  options: ConnectOptions<M>,
): Promise<RawClientConstructor> {
  try {
    return await load(options.wasm);
  } catch (error) {
    if (error instanceof ReadywireError) throw error;
    throw new ConnectError(`the wasm module of readywire could not be loaded: ${String(error)}`, {
      stage: "connecting",
      code: "wasm_unavailable",
      retryable: true,
      remedy:
        'Serve readywire_bg.wasm beside the script, pass its address as the option `wasm`, or import from "readywire/inline". ' +
        "A content security policy must allow 'wasm-unsafe-eval'.",
      cause: error,
    });
  }
}

/** Waits, but not longer than the signal allows. A timeout names how far it came; other reasons stand for themselves. */
async function unlessAborted<T, M extends EventMapOf<M>>(
  work: Promise<T>,
  signal: AbortSignal,
  client: Client<M> | undefined,
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

function abortError<M extends EventMapOf<M>>(reason: unknown, client: Client<M> | undefined): unknown {
  if ((reason as { name?: unknown } | undefined)?.name !== "TimeoutError") return reason;
  const stage = client?.lastStage ?? "connecting";
  const pending = client?.lastPending ?? [];
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
