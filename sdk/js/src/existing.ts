// Servers that do not speak the protocol, used as they are (PROTOCOL.md, "Existing servers and clients").

import { BaseClient } from "./base.js";
import type { StateOf } from "./base.js";
import { connectThrough } from "./connect.js";
import { closedError, expiredError, refusedError, unknownError } from "./errors.js";
import { callSafely, reportCallbackError } from "./events.js";
import { decode, encode, engineOptions } from "./existing-options.js";
import type {
  AnyOptions,
  ExistingOptions,
  ExistingSendOptions,
  ExistingStateChange,
  UnconfirmedOptions,
  Written,
} from "./existing-options.js";
import type { Encoded } from "./payloads.js";
import { FLAG_FAIL_FAST, FLAG_FATAL } from "./raw.js";
import type { Loader, RawClientConstructor, RawEvent, RawSendEvent, RawStateEvent } from "./raw.js";
import type { CloseInfo } from "./types.js";

interface Sending {
  resolve(written: Written): void;
  reject(error: unknown): void;
  release(): void;
  signal: AbortSignal | undefined;
}

/** A connection to an existing server, through as many sockets as it takes. */
abstract class TextClient<In, Out, S extends "processing_ready" | "unconfirmed"> extends BaseClient<
  S,
  In,
  ExistingStateChange<StateOf<S>>
> {
  readonly #options: AnyOptions<In, Out>;
  #attempt = 0;
  #nextHandle = 1;
  readonly #sends = new Map<number, Sending>();

  protected constructor(
    constructor: RawClientConstructor,
    url: string,
    options: AnyOptions<In, Out> & { onstatechange?: (change: ExistingStateChange<StateOf<S>>) => void },
  ) {
    super(options);
    this.#options = options;
    const told = (json: string, payload: Encoded | undefined): boolean =>
      this.#hear(JSON.parse(json) as RawEvent<StateOf<S>>, payload);
    this.begin(() => new constructor(url, engineOptions(options), told));
  }

  /**
   * Writes a message, or queues it until the server is ready (without a rule: until the socket is open). Resolves when it
   * was handed to the socket, which nobody acknowledges; otherwise rejects with `RefusedError`, `ExpiredError`,
   * `ClosedError` or the signal's reason.
   */
  send(message: Out, options: ExistingSendOptions = {}): Promise<Written> {
    return new Promise((resolve, reject) => {
      this.check(options.signal);
      const text = encode(this.#options, message);
      const handle = this.#nextHandle++;
      const withdraw = (): void => this.turns.call((raw) => raw.abandon(handle));
      options.signal?.addEventListener("abort", withdraw, { once: true });
      const release = (): void => options.signal?.removeEventListener("abort", withdraw);
      this.#sends.set(handle, { resolve, reject, release, signal: options.signal });
      const flags = options.policy === "fail_fast" ? FLAG_FAIL_FAST : 0;
      // Zero means "no limit" to the engine; who asks for zero wants the shortest.
      const expireAfter = options.expireAfterMs === undefined ? 0 : Math.max(1, Math.ceil(options.expireAfterMs));
      this.turns.call((raw) => raw.sendText(handle, text, flags, expireAfter));
    });
  }

  /** @internal */
  protected override changeOf(event: RawStateEvent<StateOf<S>>, at: number): ExistingStateChange<StateOf<S>> {
    const { state, previous, pending, reason, attempt, retryInMs, code } = event;
    return { state, previous, pending, reason, attempt, at, retryInMs, code };
  }

  /** @internal */
  protected override changed({ pending, attempt }: ExistingStateChange<StateOf<S>>, lastPending: string[]): string[] {
    this.#attempt = attempt;
    // What the last open socket waited for is worth more than that the next one is not open yet.
    return pending.length > 0 || this.isReady ? pending : lastPending;
  }

  /** @internal */
  protected override handle(event: RawEvent<StateOf<S>>, payload: Encoded | undefined, at: number): void {
    switch (event.type) {
      case "token":
        void this.#open(event.number);
        break;
      case "send":
        this.#decide(event);
        break;
      case "text":
        try {
          this.deliver(decode(this.#options, textOf(payload)));
        } catch (error) {
          reportCallbackError(error);
        }
        break;
      case "frame":
        callSafely(this.#options.onframe, { direction: event.direction, text: event.text, at });
        break;
    }
  }

  /** @internal */
  protected override settle(info: CloseInfo): void {
    for (const sending of this.#sends.values()) {
      sending.release();
      sending.reject(closedError(info));
    }
    this.#sends.clear();
  }

  #hear(event: RawEvent<StateOf<S>>, payload: Encoded | undefined): boolean {
    // Questions are answered at once: whether the gate opens hangs on them.
    if (event.type === "rule") return this.#ask(() => this.#options.readyWhen?.(decode(this.#options, textOf(payload))));
    if (event.type === "stop") return this.#ask(() => this.#options.stopWhen?.(event.code, textOf(payload)));
    this.receive(event, payload);
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

  /** Asks the application for the opening messages, and hands the engine what comes of it. */
  async #open(number: number): Promise<void> {
    try {
      const opening = (await this.#options.opening?.()) ?? [];
      const messages = opening.map((message) => encode(this.#options, message));
      this.turns.call((raw) => raw.provideOpening(number, JSON.stringify({ messages })));
    } catch (error) {
      // Final only if it says so itself.
      const fatal = (error as { retryable?: unknown } | null | undefined)?.retryable === false;
      this.turns.call((raw) => raw.failToken(number, fatal ? FLAG_FATAL : 0, error instanceof Error ? error.message : String(error)));
    }
  }

  #decide(step: RawSendEvent): void {
    const sending = this.#sends.get(step.handle);
    if (sending === undefined) return;
    this.#sends.delete(step.handle);
    sending.release();
    if (step.state === "written") sending.resolve({ acknowledged: false, attempt: step.attempt ?? this.#attempt });
    else if (step.code === "withdrawn" && sending.signal?.aborted === true) sending.reject(sending.signal.reason);
    else sending.reject(this.#sendError(step));
  }

  #sendError(step: RawSendEvent): unknown {
    const { stage, pending } = this.last;
    if (step.state === "expired") return expiredError("message", stage);
    if (step.state === "unknown") return unknownError("message", stage, null, step.code ?? "unknown", undefined);
    const [code, message, retryable] = [step.code ?? "refused", step.message ?? "", step.retry ?? false];
    return refusedError("message", { stage, pending, code, message, retryable, service: null });
  }
}

/** Nothing that this server says has bytes beside it. */
function textOf(payload: Encoded | undefined): string {
  return typeof payload === "string" ? payload : "";
}

/** A client at a server of which nobody knows whether it is ready. `connectExisting()` makes one, without a rule. */
export class UnconfirmedClient<In = string, Out = string> extends TextClient<In, Out, "unconfirmed"> {
  /** @internal */
  static open<In, Out>(
    constructor: RawClientConstructor,
    url: string,
    options: UnconfirmedOptions<In, Out>,
  ): UnconfirmedClient<In, Out> {
    return new UnconfirmedClient(constructor, url, options);
  }
}

/** A client whose rule knows when the server is ready. `connectExisting()` makes one, with `readyWhen`. */
export class ExistingClient<In = string, Out = string> extends TextClient<In, Out, "processing_ready"> {
  /** @internal */
  static open<In, Out>(
    constructor: RawClientConstructor,
    url: string,
    options: ExistingOptions<In, Out>,
  ): ExistingClient<In, Out> {
    return new ExistingClient(constructor, url, options);
  }

  /** Resolves when the rule has said ready: at once if it has on this connection, otherwise when it does on a later one. */
  ready(): Promise<void> {
    return this.whenReady();
  }
}

/** `connectExisting`, over whatever brings the wasm module. */
export function connectExistingWith<In, Out>(
  load: Loader,
  url: string | URL,
  options: AnyOptions<In, Out>,
): Promise<ExistingClient<In, Out> | UnconfirmedClient<In, Out>> {
  return connectThrough(
    load,
    url,
    options,
    (constructor, address) =>
      options.readyWhen === undefined
        ? UnconfirmedClient.open(constructor, address, options)
        : ExistingClient.open(constructor, address, options),
    (client) => client.whenReady(),
  );
}
