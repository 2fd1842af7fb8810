// Servers that do not speak the protocol, used as they are (PROTOCOL.md, "Existing servers and clients").

import { connectThrough } from "./connect.js";
import { ReadywireError, closedError, connectError, expiredError, refusedError, unknownError } from "./errors.js";
import { TypedEventTarget, callSafely, reportCallbackError } from "./events.js";
import { BUFFER_LIMIT, BufferedIterator } from "./iterators.js";
import { whole } from "./options.js";
import { watchPage } from "./page.js";
import { FLAG_FAIL_FAST, FLAG_FATAL } from "./raw.js";
import type { Loader, RawClient, RawClientConstructor, RawEvent, RawSendEvent, WasmSource } from "./raw.js";
import type { CloseInfo, Frame, SendOptions, State } from "./types.js";

/** How long `close()` lets waiting messages be written. */
const CLOSE_DEADLINE_MS = 5000;

/** With a rule for when the server is ready. Only `processing_ready` sends. */
export type ConfirmedState = "connecting" | "processing_ready" | "closed";
/** Without one: `unconfirmed` means that the socket is open, and that nobody knows whether the server listens. */
export type UnconfirmedState = "connecting" | "unconfirmed" | "closed";

/** A message was handed to the socket. That is all: such a server acknowledges nothing. */
export interface Written {
  readonly acknowledged: false;
  /** The attempt whose connection it was written on. Once that has ended, nobody can tell what became of it. */
  readonly attempt: number;
}

/** A state and everything that is known with it. */
export interface ExistingStateChange<S extends string = ConfirmedState | UnconfirmedState> {
  readonly state: S;
  readonly previous: S;
  /** `["ready message"]` while the socket is open and the rule has not said ready. */
  readonly pending: string[];
  /** Why, for a person. */
  readonly reason: string | null;
  /** The number of this attempt to connect, from 1. */
  readonly attempt: number;
  /** When, as `Date.now()`. */
  readonly at: number;
  /** How long until the next attempt, if one is waited for. */
  readonly retryInMs: number | null;
  /** The close code of the connection that ended, if one did. */
  readonly code: number | null;
}

/** The events of such a client; what each carries is in `event.detail`. */
export interface ExistingEvents<In, S extends string> {
  statechange: ExistingStateChange<S>;
  /** Each message of the server, the ready one included. */
  message: In;
  close: CloseInfo;
}

/** How to use a server that does not speak the protocol. */
export interface UnconfirmedOptions<In = string, Out = string> {
  /** Its subprotocols; it has to select one of them. Default: none is offered. */
  protocols?: string[];
  /** Asked before each attempt for the messages that the connection begins with, so that tokens are fresh. */
  opening?: () => Out[] | Promise<Out[]>;
  /** Whether this end is for good. Default: never; the client comes back after each. */
  stopWhen?: (code: number, reason: string) => boolean;
  /** A message as text. Default: it is text. */
  encode?: (message: Out) => string;
  /** Text as a message. Default: the text itself. */
  decode?: (text: string) => In;
  /** As the events of the same names, but in place before anything can happen. */
  onmessage?: (message: In) => void;
  onclose?: (info: CloseInfo) => void;
  /** Every text of the connection, tokens and all, to look at. */
  onframe?: (frame: Frame) => void;
  /** Gives `connectExisting()` up, and closes the client once it is connected. */
  signal?: AbortSignal;
  /** What may wait for the server. Default: 256 messages, 1 MiB, 30 s. */
  queue?: { messages?: number; bytes?: number; maxAgeMs?: number };
  /** How long to wait between attempts, at random below a bound that doubles. */
  backoff?: { firstMs?: number; baseMs?: number; capMs?: number };
  /** How long the opening and the socket may take, per attempt. Default: 10 s. */
  connectTimeoutMs?: number;
  /** How long `connectExisting()` may take in all. Default: as long as a retry can help. */
  readyTimeoutMs?: number;
  /** Where the wasm module is, if not beside the script. */
  wasm?: WasmSource;
  /** `dialling`: give the client at once. */
  resolveWhen?: "ready" | "dialling";
  readyWhen?: undefined;
  onstatechange?: (change: ExistingStateChange<UnconfirmedState>) => void;
}

/** How to use a server that says in some way of its own that it is ready. */
export interface ExistingOptions<In = string, Out = string>
  extends Omit<UnconfirmedOptions<In, Out>, "readyWhen" | "onstatechange"> {
  /** Whether this message says that the server is ready. Asked for each message of each connection until one does. */
  readyWhen: (message: In) => boolean;
  /** How long that message may take behind the open socket. Default: 10 s. */
  readyMessageTimeoutMs?: number;
  onstatechange?: (change: ExistingStateChange<ConfirmedState>) => void;
}

type AnyOptions<In, Out> = ExistingOptions<In, Out> | UnconfirmedOptions<In, Out>;
type ExistingSendOptions = Omit<SendOptions, "key">;

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

interface Sending {
  resolve(written: Written): void;
  reject(error: unknown): void;
  release(): void;
  signal: AbortSignal | undefined;
}

/** A connection to an existing server, through as many sockets as it takes. */
abstract class TextClient<In, Out, S extends string> extends TypedEventTarget<ExistingEvents<In, S>> {
  readonly #options: AnyOptions<In, Out>;
  /** Null before it is built and after it is freed. */
  #raw: RawClient | null = null;
  #state = "connecting";
  #pending: string[] = [];
  #lastStage: State = "connecting";
  #lastPending: string[] = [];
  #attempt = 0;
  #end: CloseInfo | null = null;
  #wasOpen = false;
  #nextHandle = 1;
  readonly #sends = new Map<number, Sending>();
  readonly #readers = new Set<BufferedIterator<In>>();
  readonly #waiting: Waiting[] = [];
  /** Messages that came before anyone listened; null once someone does. */
  #early: In[] | null;
  /** What is to be told, in order. The engine may report while it is being called; the application hears of it after. */
  readonly #queue: (() => void)[] = [];
  #draining = false;
  #calls = 0;
  readonly #closed: Promise<void>;
  #settleClosed!: () => void;
  readonly #unwatchPage: () => void;
  readonly #onAbort = (): void => void this.close({ deadlineMs: 0 });

  /** @internal */
  constructor(constructor: RawClientConstructor, url: string, options: AnyOptions<In, Out>) {
    super();
    this.#options = options;
    this.#early = options.onmessage === undefined ? [] : null;
    this.#closed = new Promise((resolve) => (this.#settleClosed = resolve));
    this.#calls++;
    try {
      this.#raw = new constructor(url, engineOptions(options), (json, payload) => {
        // Nothing that this server says has bytes beside it.
        return this.#receive(json, typeof payload === "string" ? payload : undefined);
      });
    } finally {
      this.#calls--;
    }
    this.#unwatchPage = watchPage(() => this.#call((raw) => raw.wake()));
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    // The application has no client yet, so it hears of the first events a little later.
    queueMicrotask(() => this.#drain());
  }

  /** What is known of the server on this connection. */
  get state(): S {
    return this.#state as S;
  }

  /** What the open socket waits for. */
  get pending(): string[] {
    return [...this.#pending];
  }

  /**
   * Writes a message, or queues it until the server is ready (without a rule: until the socket is open). Resolves when it
   * was handed to the socket, which nobody acknowledges; otherwise rejects with `RefusedError`, `ExpiredError`,
   * `ClosedError` or the signal's reason.
   */
  send(message: Out, options: ExistingSendOptions = {}): Promise<Written> {
    return new Promise((resolve, reject) => {
      if (this.#end !== null) throw closedError(this.#end);
      options.signal?.throwIfAborted();
      const text = encode(this.#options, message);
      const handle = this.#nextHandle++;
      const withdraw = (): void => this.#call((raw) => raw.abandon(handle));
      options.signal?.addEventListener("abort", withdraw, { once: true });
      const release = (): void => options.signal?.removeEventListener("abort", withdraw);
      this.#sends.set(handle, { resolve, reject, release, signal: options.signal });
      const flags = options.policy === "fail_fast" ? FLAG_FAIL_FAST : 0;
      // Zero means "no limit" to the engine; who asks for zero wants the shortest.
      const expireAfter = options.expireAfterMs === undefined ? 0 : Math.max(1, Math.ceil(options.expireAfterMs));
      this.#call((raw) => raw.sendText(handle, text, flags, expireAfter));
    });
  }

  /** Messages from now on. The first reader also gets those that came before anyone listened. */
  messages(): AsyncIterableIterator<In, undefined> {
    const reader: BufferedIterator<In> = new BufferedIterator(() => this.#readers.delete(reader));
    for (const message of this.#takeEarly()) reader.push(message);
    if (this.#end === null) this.#readers.add(reader);
    else endReader(reader, this.#end);
    return reader;
  }

  /** Lets what waits be written until the deadline (5 s), then closes. */
  close(options: { deadlineMs?: number } = {}): Promise<void> {
    this.#call((raw) => raw.close(options.deadlineMs ?? CLOSE_DEADLINE_MS));
    return this.#closed;
  }

  override addEventListener<K extends keyof ExistingEvents<In, S> & string>(
    type: K,
    listener:
      | ((event: CustomEvent<ExistingEvents<In, S>[K]>) => void)
      | { handleEvent(event: CustomEvent<ExistingEvents<In, S>[K]>): void }
      | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener, options);
    if (type !== "message" || listener === null) return;
    for (const message of this.#takeEarly()) this.#queue.push(() => this.#emit("message", message));
    queueMicrotask(() => this.#drain());
  }

  /** Resolves at the open gate, on this or a later connection. @internal */
  async whenOpen(): Promise<void> {
    if (this.#isOpen) return;
    if (this.#end !== null) throw this.#endError(this.#end);
    await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** The last stage that a connection confirmed. @internal */
  get lastStage(): State {
    return this.#end?.stage ?? this.#lastStage;
  }

  /** What was pending then. @internal */
  get lastPending(): string[] {
    return this.#end?.pending ?? this.#lastPending;
  }

  get #isOpen(): boolean {
    return this.#state === "processing_ready" || this.#state === "unconfirmed";
  }

  #takeEarly(): In[] {
    const early = this.#early ?? [];
    this.#early = null;
    return early;
  }

  /** Calls the engine; what it reports meanwhile is told when it has returned. */
  #call(action: (raw: RawClient) => void): void {
    if (this.#raw === null) return;
    this.#calls++;
    try {
      action(this.#raw);
    } catch (error) {
      this.#queue.push(() => this.#crash(error));
    } finally {
      this.#calls--;
    }
    this.#drain();
  }

  #receive(json: string, payload: string | undefined): boolean {
    const event = JSON.parse(json) as RawEvent;
    // Questions are answered at once: whether the gate opens hangs on them.
    if (event.type === "rule") return this.#ask(() => this.#options.readyWhen?.(decode(this.#options, payload ?? "")));
    if (event.type === "stop") return this.#ask(() => this.#options.stopWhen?.(event.code, payload ?? ""));
    const at = Date.now();
    this.#queue.push(() => this.#handle(event, payload, at));
    this.#drain();
    return false;
  }

  /** What cannot be answered has not been said. */
  #ask(question: () => boolean | undefined): boolean {
    try {
      return question() === true;
    } catch (error) {
      reportCallbackError(error);
      return false;
    }
  }

  #drain(): void {
    if (this.#draining || this.#calls > 0) return;
    this.#draining = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    } finally {
      this.#draining = false;
    }
  }

  #handle(event: RawEvent, payload: string | undefined, at: number): void {
    if (this.#end !== null) return;
    switch (event.type) {
      case "state": {
        const { pending, reason, attempt, retryInMs, code } = event;
        const [state, previous] = [event.state, event.previous] as unknown as [S, S];
        this.#attempt = attempt;
        this.#change({ state, previous, pending, reason, attempt, at, retryInMs, code });
        break;
      }
      case "token":
        void this.#open(event.number);
        break;
      case "send":
        this.#settle(event);
        break;
      case "text":
        try {
          this.#deliver(decode(this.#options, payload ?? ""));
        } catch (error) {
          reportCallbackError(error);
        }
        break;
      case "frame":
        callSafely(this.#options.onframe, { direction: event.direction, text: event.text, at });
        break;
      case "closed": {
        const { type: _, ...info } = event;
        this.#finish(info);
        break;
      }
    }
  }

  /** Asks the application for the opening messages, and hands the engine what comes of it. */
  async #open(number: number): Promise<void> {
    try {
      const opening = (await this.#options.opening?.()) ?? [];
      const messages = opening.map((message) => encode(this.#options, message));
      this.#call((raw) => raw.provideOpening(number, JSON.stringify({ messages })));
    } catch (error) {
      // Final only if it says so itself.
      const fatal = (error as { retryable?: unknown } | null | undefined)?.retryable === false;
      this.#call((raw) => raw.failToken(number, fatal ? FLAG_FATAL : 0, error instanceof Error ? error.message : String(error)));
    }
  }

  #change(change: ExistingStateChange<S>): void {
    this.#state = change.state;
    this.#pending = change.pending;
    if (change.state !== "closed") {
      this.#lastStage = change.state === "processing_ready" ? "processing_ready" : "connecting";
      // What the last open socket waited for is worth more than that the next one is not open yet.
      if (change.pending.length > 0 || this.#isOpen) this.#lastPending = change.pending;
    }
    if (this.#isOpen) {
      this.#wasOpen = true;
      for (const waiting of this.#waiting.splice(0)) waiting.resolve();
    }
    this.#emit("statechange", change, this.#options.onstatechange as (change: ExistingStateChange<S>) => void);
  }

  #settle(step: RawSendEvent): void {
    const sending = this.#sends.get(step.handle);
    if (sending === undefined) return;
    this.#sends.delete(step.handle);
    sending.release();
    if (step.state === "written") sending.resolve({ acknowledged: false, attempt: step.attempt ?? this.#attempt });
    else if (step.code === "withdrawn" && sending.signal?.aborted === true) sending.reject(sending.signal.reason);
    else sending.reject(this.#sendError(step));
  }

  #sendError(step: RawSendEvent): unknown {
    const [stage, pending] = [this.lastStage, this.lastPending];
    if (step.state === "expired") return expiredError("message", stage);
    if (step.state === "unknown") return unknownError("message", stage, null, step.code ?? "unknown", undefined);
    const [code, message, retryable] = [step.code ?? "refused", step.message ?? "", step.retry ?? false];
    return refusedError("message", { stage, pending, code, message, retryable, service: null });
  }

  #deliver(message: In): void {
    if (this.#early !== null) {
      if (this.#early.length === BUFFER_LIMIT) this.#early.shift();
      this.#early.push(message);
      return;
    }
    this.#emit("message", message, this.#options.onmessage);
    for (const reader of this.#readers) {
      if (reader.push(message)) continue;
      this.#readers.delete(reader);
      reader.fail(
        new ReadywireError("messages were not read as fast as they came", {
          stage: this.lastStage,
          code: "slow_consumer",
          retryable: true,
          remedy: "Call messages() again and read faster, or use onmessage.",
        }),
      );
    }
  }

  #emit<K extends keyof ExistingEvents<In, S>>(
    type: K,
    detail: ExistingEvents<In, S>[K],
    callback?: (detail: ExistingEvents<In, S>[K]) => void,
  ): void {
    callSafely(callback, detail);
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** The end, exactly once: everything that waits is settled before anyone is told. */
  #finish(info: CloseInfo): void {
    const previous = this.state;
    this.#end = info;
    this.#unwatchPage();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const raw = this.#raw;
    this.#raw = null;
    // The engine is on the stack while it reports; it can only go after that.
    queueMicrotask(() => raw?.free());
    for (const sending of this.#sends.values()) {
      sending.release();
      sending.reject(closedError(info));
    }
    this.#sends.clear();
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#endError(info));
    for (const reader of this.#readers) endReader(reader, info);
    this.#readers.clear();
    this.#settleClosed();
    if (previous !== ("closed" as S)) {
      const [state, attempt, { pending, reason, code }] = ["closed" as S, this.#attempt, info];
      this.#change({ state, previous, pending, reason, attempt, at: Date.now(), retryInMs: null, code });
    }
    this.#emit("close", info, this.#options.onclose);
  }

  /** The engine itself failed, which is never the application's fault. */
  #crash(error: unknown): void {
    if (this.#end !== null) return;
    this.#finish({
      code: null,
      reason: `the engine failed: ${String(error)}`,
      clause: null,
      stage: this.#lastStage,
      pending: this.#lastPending,
      retryable: true,
      remedy: "Connect again, and report this as a bug of readywire.",
    });
  }

  #endError(info: CloseInfo): ReadywireError {
    return this.#wasOpen ? closedError(info) : connectError(info);
  }
}

/** A client at a server of which nobody knows whether it is ready. `connectExisting()` makes one, without a rule. */
export class UnconfirmedClient<In = string, Out = string> extends TextClient<In, Out, UnconfirmedState> {}

/** A client whose rule knows when the server is ready. `connectExisting()` makes one, with `readyWhen`. */
export class ExistingClient<In = string, Out = string> extends TextClient<In, Out, ConfirmedState> {
  /** Resolves when the rule has said ready: at once if it has on this connection, otherwise when it does on a later one. */
  ready(): Promise<void> {
    return this.whenOpen();
  }
}

/** `connectExisting`, over whatever brings the wasm module. */
export function connectExistingWith<In, Out>(
  load: Loader,
  url: string | URL,
  options: AnyOptions<In, Out>,
): Promise<ExistingClient<In, Out> | UnconfirmedClient<In, Out>> {
  const Chosen = options.readyWhen === undefined ? UnconfirmedClient<In, Out> : ExistingClient<In, Out>;
  return connectThrough(
    load,
    url,
    options,
    (constructor, address) => new Chosen(constructor, address, options),
    (client) => client.whenOpen(),
  );
}

function engineOptions<In, Out>(options: AnyOptions<In, Out>): string {
  const confirms = options.readyWhen !== undefined;
  return JSON.stringify({
    existing: true,
    confirms,
    protocols: options.protocols ?? [],
    queueMessages: whole(options.queue?.messages),
    queueBytes: whole(options.queue?.bytes),
    queueMaxAgeMs: whole(options.queue?.maxAgeMs),
    backoffFirstMs: whole(options.backoff?.firstMs),
    backoffBaseMs: whole(options.backoff?.baseMs),
    backoffCapMs: whole(options.backoff?.capMs),
    connectTimeoutMs: whole(options.connectTimeoutMs),
    readyMessageTimeoutMs: confirms ? whole((options as ExistingOptions<In, Out>).readyMessageTimeoutMs) : undefined,
    frames: options.onframe !== undefined,
  });
}

function encode<In, Out>(options: AnyOptions<In, Out>, message: Out): string {
  const text: unknown = options.encode === undefined ? message : options.encode(message);
  if (typeof text !== "string") throw new TypeError("a message for an existing server is text: give `encode`, or a string");
  return text;
}

function decode<In, Out>(options: AnyOptions<In, Out>, text: string): In {
  return options.decode === undefined ? (text as In) : options.decode(text);
}

function endReader<T>(reader: BufferedIterator<T>, info: CloseInfo): void {
  if (info.code === 1000) reader.end();
  else reader.fail(closedError(info));
}
