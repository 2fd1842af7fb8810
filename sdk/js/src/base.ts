/// <reference lib="esnext.disposable" preserve="true" />

import { closedError, connectError } from "./errors.js";
import type { ReadywireError } from "./errors.js";
import { TypedEventTarget, callSafely } from "./events.js";
import type { TypedListener } from "./events.js";
import { Inbound } from "./inbound.js";
import { watchPage } from "./page.js";
import type { Encoded } from "./payloads.js";
import type { RawClient, RawEvent, RawStateEvent } from "./raw.js";
import { Turns } from "./turns.js";
import type { BaseEvents, BaseOptions, CloseInfo, State } from "./types.js";

/** How long `close()` lets what is under way come to its end. */
const CLOSE_DEADLINE_MS = 5000;

/** The states that a client whose own are `S` can be in. */
export type StateOf<S extends string> = "connecting" | S | "closed";

/** What every change of state tells. */
interface BaseChange<S extends string> {
  readonly state: StateOf<S>;
  readonly previous: StateOf<S>;
  readonly pending: string[];
  readonly attempt: number;
}

interface Options<In, Change> extends BaseOptions {
  onstatechange?: (change: Change) => void;
  onmessage?: (message: In) => void;
}

/** The last stage that a connection confirmed, and what was pending then. */
export interface Reached {
  readonly stage: State;
  readonly pending: string[];
}

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

/** What every client is, whatever its server speaks: states, messages that come unasked, and one end. */
export abstract class BaseClient<
  S extends State | "unconfirmed",
  In,
  Change extends BaseChange<S>,
  More = object,
> extends TypedEventTarget<BaseEvents<In, Change> & More> {
  /** @internal */
  protected readonly turns = new Turns((error) => this.#crash(error));
  readonly #options: Options<In, Change>;
  readonly #inbound: Inbound<In>;
  #state: StateOf<S> = "connecting";
  #pending: string[] = [];
  #last: Reached = { stage: "connecting", pending: [] };
  #attempt = 0;
  #end: CloseInfo | null = null;
  #wasReady = false;
  readonly #waiting: Waiting[] = [];
  readonly #closed: Promise<void>;
  #settleClosed!: () => void;
  #unwatchPage: (() => void) | undefined;
  readonly #onAbort = (): void => void this.close({ deadlineMs: 0 });

  /** Closes the client, for `await using`. Absent where the platform has no `Symbol.asyncDispose`. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  static {
    if (typeof Symbol.asyncDispose === "symbol") {
      Object.defineProperty(this.prototype, Symbol.asyncDispose, {
        value(this: { close(): Promise<void> }) {
          return this.close();
        },
      });
    }
  }

  protected constructor(options: Options<In, Change>) {
    super();
    this.#options = options;
    this.#inbound = new Inbound(options.onmessage !== undefined, (message) =>
      this.tell("message", message, options.onmessage),
    );
    this.#closed = new Promise((resolve) => (this.#settleClosed = resolve));
  }

  /** What is known of the server on this connection. */
  get state(): StateOf<S> {
    return this.#state;
  }

  /** What the start still waits for: services, or the word of an existing server. */
  get pending(): string[] {
    return [...this.#pending];
  }

  /** Messages that answer nothing, from now on. The first reader also gets those that came before anyone listened. */
  messages(): AsyncIterableIterator<In, undefined> {
    return this.#inbound.read();
  }

  /** Lets what is under way come to its end until the deadline (5 s), then closes for good, and ends the session. */
  close(options: { deadlineMs?: number } = {}): Promise<void> {
    this.turns.call((raw) => raw.close(options.deadlineMs ?? CLOSE_DEADLINE_MS));
    return this.#closed;
  }

  override addEventListener<K extends keyof (BaseEvents<In, Change> & More) & string>(
    type: K,
    listener: TypedListener<(BaseEvents<In, Change> & More)[K]> | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener, options);
    if (type !== "message" || listener === null) return;
    for (const message of this.#inbound.takeEarly()) this.turns.queue(() => this.tell("message", message));
    queueMicrotask(() => this.turns.take());
  }

  /** Resolves when messages go out, on this or a later connection. @internal */
  async whenReady(): Promise<void> {
    if (this.isReady) return;
    if (this.#end !== null) throw this.#endError(this.#end);
    await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** How far it came last. @internal */
  get last(): Reached {
    return this.#end ?? this.#last;
  }

  /** Whether messages go out. @internal */
  protected get isReady(): boolean {
    return goesOut(this.#state);
  }

  /** Builds the engine, once everything is there that it may call. @internal */
  protected begin(build: () => RawClient): void {
    this.turns.begin(build);
    this.#unwatchPage = watchPage(() => this.turns.call((raw) => raw.wake()));
    this.#options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Takes an event of the engine. What is handled is handled in its turn. @internal */
  protected receive(event: RawEvent<StateOf<S>>, borrowed: Encoded | undefined): void {
    const payload = borrowed instanceof Uint8Array ? borrowed.slice() : borrowed;
    // When, not when it is told.
    const at = Date.now();
    this.turns.tell(() => {
      if (this.#end !== null) return;
      if (event.type === "state") return this.#change(this.changeOf(event, at));
      if (event.type !== "closed") return this.handle(event, payload, at);
      const { type: _, ...info } = event;
      this.#finish(info);
    });
  }

  /** What the application is told of a state. @internal */
  protected abstract changeOf(event: RawStateEvent<StateOf<S>>, at: number): Change;
  /** A change, before anybody is told; gives what is worth telling of what it waits for, if it gets no further. @internal */
  protected abstract changed(change: Change, lastPending: string[]): string[];
  /** Every other event. @internal */
  protected abstract handle(event: RawEvent<StateOf<S>>, payload: Encoded | undefined, at: number): void;
  /** The end: whatever is under way is settled, before anybody is told. @internal */
  protected abstract settle(info: CloseInfo): void;

  /** Throws if nothing can be begun any more. @internal */
  protected check(signal: AbortSignal | undefined): void {
    if (this.#end !== null) throw closedError(this.#end);
    signal?.throwIfAborted();
  }

  /** Hands a message to whoever listens. @internal */
  protected deliver(message: In): void {
    this.#inbound.deliver(message, this.last.stage);
  }

  /** Tells the application. @internal */
  protected tell<K extends keyof More & string>(type: K, detail: More[K], callback?: (detail: More[K]) => void): void;
  protected tell<K extends keyof BaseEvents<In, Change>>(
    type: K,
    detail: BaseEvents<In, Change>[K],
    callback?: (detail: BaseEvents<In, Change>[K]) => void,
  ): void;
  protected tell<T>(type: string, detail: T, callback?: (detail: T) => void): void {
    callSafely(callback, detail);
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #change(change: Change): void {
    this.#state = change.state;
    this.#pending = change.pending;
    this.#attempt = change.attempt;
    const pending = this.changed(change, this.#last.pending);
    if (change.state !== "closed") this.#last = { stage: stageOf(change.state), pending };
    if (this.isReady) {
      this.#wasReady = true;
      for (const waiting of this.#waiting.splice(0)) waiting.resolve();
    }
    this.tell("statechange", change, this.#options.onstatechange);
  }

  /** The end, exactly once: everything that waits is settled before anyone is told. */
  #finish(info: CloseInfo): void {
    const { code, pending, reason } = info;
    const previous = this.#state;
    this.#end = info;
    this.#state = "closed";
    this.#unwatchPage?.();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.turns.end();
    this.settle(info);
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#endError(info));
    this.#inbound.end(info);
    this.#settleClosed();
    if (previous !== "closed") {
      const [type, state, attempt] = ["state", "closed", this.#attempt] as const;
      const nothing = { impaired: [], connection: null, handover: false, retryInMs: null };
      this.#change(this.changeOf({ type, state, previous, pending, reason, attempt, code, ...nothing }, Date.now()));
    }
    this.tell("close", info, this.#options.onclose);
  }

  /** The engine itself failed, which is never the application's fault. */
  #crash(error: unknown): void {
    if (this.#end !== null) return;
    this.#finish({
      code: null,
      reason: `the engine failed: ${String(error)}`,
      clause: null,
      ...this.#last,
      retryable: true,
      remedy: "Connect again, and report this as a bug of readywire.",
    });
  }

  #endError(info: CloseInfo): ReadywireError {
    return this.#wasReady ? closedError(info) : connectError(info);
  }
}

function goesOut(state: State | "unconfirmed"): boolean {
  return state === "processing_ready" || state === "degraded" || state === "unconfirmed";
}

/** That the socket is open is no stage. */
function stageOf(state: State | "unconfirmed"): State {
  return state === "unconfirmed" ? "connecting" : state;
}
