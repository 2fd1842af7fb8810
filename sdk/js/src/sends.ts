// One object for each send that is under way. It turns what the engine tells into exactly one outcome.

import { answerError, closedError, expiredError, refusedError, unknownError } from "./errors.js";
import { BufferedIterator } from "./iterators.js";
import { decodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import { FLAG_FAIL_FAST } from "./raw.js";
import type { RawAnswerEvent, RawClient, RawSendEvent } from "./raw.js";
import type { AnswerPart, CloseInfo, SendOptions, SendState, State } from "./types.js";

/** What a send needs of its client. */
export interface Owner {
  readonly stage: State;
  readonly pending: string[];
  /** Calls the engine, if it still runs. */
  call(action: (raw: RawClient) => void): void;
  /** Withdraws a send that waits for a `Blob` to be read, and of which the engine does not know yet; whether it did. */
  withdraw(handle: number): boolean;
}

/** Gives a send to the engine, once its payload is there; so long it has waited for that. */
export type Give = (raw: RawClient, send: Send, payload: Encoded, waitedMs: number) => void;

/** What whoever begins something needs of its client. */
export interface Host extends Owner {
  /** A handle that nothing else has. */
  newHandle(): number;
  /** Throws if nothing can be begun any more. */
  check(signal: AbortSignal | undefined): void;
  /** Gives a send its place behind what was sent before. */
  begin(send: Send, payload: Encoded | Blob, give: Give): void;
}

/** Sends, or publishes to a topic. */
export function sending({ expireAfterMs, key, policy }: SendOptions, wants: number, topic?: string): Give {
  const flags = wants | (policy === "fail_fast" ? FLAG_FAIL_FAST : 0);
  return (raw, { handle, event }, payload, waitedMs) => {
    // Zero means "no limit" to the engine; who asks for zero wants the shortest.
    const expireAfter = expireAfterMs === undefined ? 0 : Math.max(1, Math.ceil(expireAfterMs - waitedMs));
    if (typeof payload === "string") raw.send(handle, event, payload, flags, expireAfter, key, topic);
    else raw.sendBytes(handle, event, payload, flags, expireAfter, key, topic);
  };
}

/** A send under way. */
export abstract class Send {
  state: SendState = "queued";
  id: number | null = null;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.abort(this.#signal?.reason);

  constructor(
    protected readonly owner: Owner,
    readonly handle: number,
    readonly event: string,
    signal: AbortSignal | undefined,
  ) {
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Whether its outcome is known. */
  get decided(): boolean {
    return this.state !== "queued" && this.state !== "in_flight" && this.state !== "held";
  }

  /** Whether nothing more can come for it. */
  abstract get finished(): boolean;

  /** Takes a step of its life from the engine. */
  advance(step: RawSendEvent): void {
    // Written, and no more, is what existing servers know; they have sends of their own.
    if (this.decided || step.state === "written") return;
    this.state = step.state;
    // What is held was refused under the id that it had.
    this.id = step.state === "held" ? null : (step.id ?? this.id);
    if (step.state === "acknowledged") this.succeed(this.id ?? 0);
    else if (this.decided) this.fail(this.#error(step));
    if (this.finished) this.release();
  }

  /** Takes a part of its answer. */
  answer(_part: RawAnswerEvent, _payload: Encoded | undefined): void {}

  /** The client is closed: whatever was undecided is decided now. */
  close(info: CloseInfo): void {
    if (this.state === "queued" || this.state === "held") {
      this.advance({ type: "send", handle: this.handle, state: "refused", code: "closed" });
    }
    if (this.state === "in_flight") {
      this.advance({ type: "send", handle: this.handle, state: "unknown", code: "closed" });
    }
    if (!this.finished) this.fail(closedError(info));
    this.release();
  }

  /** Lets go of the signal. */
  release(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  protected abstract succeed(id: number): void;
  protected abstract fail(error: unknown): void;
  protected abstract abort(reason: unknown): void;

  #error(step: RawSendEvent): unknown {
    const stage = step.stage ?? this.owner.stage;
    const aborted = this.#signal?.aborted === true;
    switch (step.state) {
      case "expired":
        return expiredError(this.event, stage);
      case "unknown":
        return unknownError(
          this.event,
          stage,
          this.id,
          step.code ?? "unknown",
          aborted ? this.#signal?.reason : undefined,
        );
      default:
        // A signal that withdrew the send is its own explanation.
        if (aborted && step.code === "withdrawn") return this.#signal?.reason;
        return refusedError(this.event, {
          stage,
          pending: this.owner.pending,
          code: step.code ?? "refused",
          message: step.message ?? "",
          retryable: step.retry ?? false,
          service: step.service ?? null,
          retryAfterMs: step.retryAfterMs ?? null,
        });
    }
  }
}

interface Settlers<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** A send that wants to know only that it was taken. */
export class PlainSend extends Send {
  readonly #settlers: Settlers<{ id: number }>;

  constructor(
    owner: Owner,
    handle: number,
    event: string,
    signal: AbortSignal | undefined,
    settlers: Settlers<{ id: number }>,
  ) {
    super(owner, handle, event, signal);
    this.#settlers = settlers;
  }

  get finished(): boolean {
    return this.decided;
  }

  protected succeed(id: number): void {
    this.#settlers.resolve({ id });
  }

  protected fail(error: unknown): void {
    this.#settlers.reject(error);
  }

  protected abort(): void {
    if (!this.owner.withdraw(this.handle)) this.owner.call((raw) => raw.abandon(this.handle));
  }
}

/** A send that wants the first message of its answer. */
export class Request extends Send {
  readonly #settlers: Settlers<unknown>;
  #settled = false;
  #ended = false;

  constructor(
    owner: Owner,
    handle: number,
    event: string,
    signal: AbortSignal | undefined,
    settlers: Settlers<unknown>,
  ) {
    super(owner, handle, event, signal);
    this.#settlers = settlers;
  }

  get finished(): boolean {
    return this.decided && this.#ended;
  }

  override answer(part: RawAnswerEvent, payload: Encoded | undefined): void {
    this.#ended ||= part.end;
    if (this.#settled) {
      if (this.finished) this.release();
      return;
    }
    if (part.error !== null) {
      this.fail(answerError(this.event, this.owner.stage, part.error));
    } else {
      this.#settled = true;
      this.release();
      this.#settlers.resolve(hasContent(part) ? decodePayload(payload) : undefined);
      // One message was asked for.
      if (!part.end) this.owner.call((raw) => raw.cancel(this.handle));
    }
  }

  protected succeed(): void {}

  protected fail(error: unknown): void {
    // After a failed send no answer comes.
    this.#ended = true;
    if (this.#settled) return;
    this.#settled = true;
    this.release();
    this.#settlers.reject(error);
  }

  protected abort(reason: unknown): void {
    if (this.owner.withdraw(this.handle)) return;
    this.owner.call((raw) => {
      raw.cancel(this.handle);
      if (!this.decided) raw.abandon(this.handle);
    });
    if (this.state === "acknowledged" && !this.#settled) {
      this.#settled = true;
      this.#settlers.reject(reason);
    }
  }
}

/** A send whose answer is read message by message. */
export class Stream extends Send {
  readonly parts = new BufferedIterator<AnswerPart>(() => this.#stop());
  #ended = false;

  get finished(): boolean {
    return this.decided && this.#ended;
  }

  override answer(part: RawAnswerEvent, payload: Encoded | undefined): void {
    if (part.error !== null) {
      this.fail(answerError(this.event, this.owner.stage, part.error));
      return;
    }
    if (hasContent(part) && !this.parts.finished) {
      const held = this.parts.push({ event: part.event, payload: decodePayload(payload), offset: part.offset });
      if (!held) this.#overflow();
    }
    if (part.end) {
      this.#ended = true;
      this.parts.end();
      this.release();
    }
  }

  protected succeed(): void {}

  protected fail(error: unknown): void {
    this.#ended = true;
    this.parts.fail(error);
    this.release();
  }

  /** Nothing more is wanted of it; its reader is told why behind what it has. */
  giveUp(why: unknown): void {
    this.parts.fail(why);
    this.#stop();
  }

  protected abort(reason: unknown): void {
    this.parts.abort(reason);
    this.#stop();
  }

  #overflow(): void {
    const message = "its reader is too far behind";
    this.giveUp(answerError(this.event, this.owner.stage, { code: "slow_consumer", message }));
  }

  /** The server still ends the answer; what comes until then is dropped. */
  #stop(): void {
    this.release();
    if (!this.owner.withdraw(this.handle)) this.owner.call((raw) => raw.cancel(this.handle));
  }
}

/** The last message may do nothing but end the answer. */
function hasContent(part: RawAnswerEvent): boolean {
  return !(part.end && part.event === "");
}
