// Streams that the client opens: parts on their way to one handler, and the answer that comes back meanwhile.

import { encodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import { FLAG_ANSWER, FLAG_STREAM } from "./raw.js";
import type { RawSendEvent } from "./raw.js";
import { Send, Stream, sending } from "./sends.js";
import type { Give, Host, Owner } from "./sends.js";
import type {
  AnswerEvents,
  AnswerPart,
  ClientStream,
  EventMapOf,
  SendPayload,
  StreamEvent,
  StreamOptions,
  StreamPayload,
} from "./types.js";

/** What a part gets for coming too late. */
const OVER = "stream_over";
/** What a part gets if the one before it still waits. */
const FULL = "stream_full";
/** What becomes of a part and is told of its stream, too. */
const OF_THE_STREAM = [OVER, "session_lost", "closed"];

/** One stream of one client. */
export class OpenStream<M extends EventMapOf<M>, K extends StreamEvent<M>> implements ClientStream<M, K> {
  readonly #host: Host;
  readonly #signal: AbortSignal | undefined;
  readonly #send: Stream;
  /** The part that waits for its place. */
  #placing: Promise<void> | null = null;

  constructor(
    host: Host,
    event: K,
    payload: SendPayload<M, K>,
    options: StreamOptions<StreamPayload<M, K>>,
  ) {
    const { from, signal } = options;
    const encoded = encodePayload(event, payload);
    this.#host = host;
    this.#signal = signal;
    this.#send = new Stream(host, host.newHandle(), event, signal);
    try {
      host.check(signal);
    } catch (error) {
      this.#send.release();
      this.#send.parts.abort(error);
      return;
    }
    host.begin(this.#send, encoded, sending(options, FLAG_ANSWER | FLAG_STREAM));
    if (from !== undefined) void this.#pump(from);
  }

  async write(part: StreamPayload<M, K>): Promise<void> {
    const stream = this.#send.handle;
    await this.#begin(false, encodePayload(this.#send.event, part), (raw, { handle }, payload) => {
      if (typeof payload === "string") raw.write(handle, stream, payload, false);
      else raw.writeBytes(handle, stream, payload);
    });
  }

  async end(): Promise<void> {
    // Whoever did not wait for it hears of it from there.
    if (this.#placing !== null) await this.#placing.catch(() => {});
    try {
      const stream = this.#send.handle;
      await this.#begin(true, "null", (raw, { handle }, payload) => raw.write(handle, stream, payload as string, true));
    } catch (error) {
      // Then the answer tells how it ended.
      if (codeOf(error) !== OVER) throw error;
    }
  }

  next(): Promise<IteratorResult<AnswerPart<AnswerEvents<M, K>>, undefined>> {
    // Whatever the map says of them: they are only handed on here.
    return this.#send.parts.next() as Promise<IteratorResult<AnswerPart<AnswerEvents<M, K>>, undefined>>;
  }

  return(): Promise<IteratorResult<AnswerPart<AnswerEvents<M, K>>, undefined>> {
    return this.#send.parts.return() as Promise<IteratorResult<AnswerPart<AnswerEvents<M, K>>, undefined>>;
  }

  throw(error?: unknown): Promise<IteratorResult<AnswerPart<AnswerEvents<M, K>>, undefined>> {
    return this.#send.parts.throw(error) as Promise<IteratorResult<AnswerPart<AnswerEvents<M, K>>, undefined>>;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Resolves when it has its place, the `last` one when it is taken. */
  #begin(last: boolean, payload: Encoded | Blob, give: Give): Promise<void> {
    let settled = false;
    let placed: Promise<void> | null = null;
    const settle = (): void => {
      settled = true;
      if (this.#placing === placed) this.#placing = null;
    };
    placed = new Promise((resolve, reject) => {
      this.#host.check(this.#signal);
      const done = (): void => {
        settle();
        resolve();
      };
      const failed = (error: unknown): void => {
        const code = codeOf(error);
        const never = !settled && code === FULL;
        settle();
        reject(this.#signal?.aborted === true ? this.#signal.reason : error);
        // What lacks a part is not to be taken for the whole (clause `stream.whole`).
        if (!never && !OF_THE_STREAM.includes(code)) this.#send.giveUp(error);
      };
      const part = new Part(this.#host, this.#host.newHandle(), this.#send.event, last, done, failed);
      this.#host.begin(part, payload, give);
    });
    if (!settled && !last) this.#placing = placed;
    return placed;
  }

  async #pump(source: AsyncIterable<StreamPayload<M, K>> | Iterable<StreamPayload<M, K>>): Promise<void> {
    try {
      for await (const part of source) await this.write(part);
      await this.end();
    } catch (error) {
      if (codeOf(error) !== OVER) this.#send.giveUp(error);
    }
  }
}

/** A part under way, or the end. */
class Part extends Send {
  readonly #last: boolean;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    owner: Owner,
    handle: number,
    event: string,
    last: boolean,
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    super(owner, handle, event, undefined);
    this.#last = last;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get finished(): boolean {
    return this.decided;
  }

  override advance(step: RawSendEvent): void {
    super.advance(step);
    if (step.state === "queued" && !this.#last) this.#resolve();
  }

  protected succeed(): void {
    this.#resolve();
  }

  protected fail(error: unknown): void {
    this.#reject(error);
  }

  protected abort(): void {}
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code);
}
