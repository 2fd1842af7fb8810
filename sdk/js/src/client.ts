/// <reference lib="esnext.disposable" preserve="true" />

import type { Keeper, OpenAnswer } from "./carry.js";
import { ClosedError, ConnectError, ReadywireError, closedError, connectError, notReadyError } from "./errors.js";
import { TypedEventTarget, callSafely } from "./events.js";
import type { TypedListener } from "./events.js";
import { BUFFER_LIMIT, BufferedIterator } from "./iterators.js";
import { Line } from "./line.js";
import { engineOptions } from "./options.js";
import { watchPage } from "./page.js";
import { decodePayload, encodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import { FLAG_ANSWER, FLAG_FAIL_FAST } from "./raw.js";
import type { RawClient, RawClientConstructor, RawEvent, RawSendEvent } from "./raw.js";
import { withoutTokens } from "./redaction.js";
import { PlainSend, Request, Stream } from "./sends.js";
import type { Owner, Send } from "./sends.js";
import { TopicSubscription } from "./subscriptions.js";
import { TokenQuestions } from "./token.js";
import type {
  AnswerPart,
  ClientEvents,
  CloseInfo,
  ConnectOptions,
  EventMap,
  EventMapOf,
  Message,
  ReceiveEvent,
  SendEvent,
  SendOptions,
  SendPayload,
  State,
  StateChange,
  SubscribeOptions,
  Subscription,
} from "./types.js";

/** How long `close()` lets sends under way be decided. */
const CLOSE_DEADLINE_MS = 5000;

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

/** A connection to a server, through as many sockets as it takes. `connect()` makes one. */
export class Client<M extends EventMapOf<M> = EventMap> extends TypedEventTarget<ClientEvents<M>> {
  readonly #options: ConnectOptions<M>;
  /** Null before it is built and after it is freed. */
  #raw: RawClient | null = null;
  #state: State = "connecting";
  #pending: string[] = [];
  #impaired: string[] = [];
  #lastStage: State = "connecting";
  #lastPending: string[] = [];
  #session: string | null = null;
  #attempt = 0;
  #end: CloseInfo | null = null;
  #wasReady = false;
  #nextHandle = 1;
  readonly #sends = new Map<number, Send>();
  // Whatever events it was narrowed to: it is only fed here.
  readonly #subscriptions = new Map<number, TopicSubscription<M, ReceiveEvent<M>>>();
  readonly #readers = new Set<BufferedIterator<Message<M>>>();
  readonly #waiting: Waiting[] = [];
  readonly #line: Line;
  /** Messages that came before anyone listened; null once someone does. */
  #early: Message<M>[] | null;
  /** What is to be told, in order. The engine may report while it is being called; the application hears of it after. */
  readonly #queue: (() => void)[] = [];
  #draining = false;
  #calls = 0;
  readonly #closed: Promise<void>;
  #settleClosed!: () => void;
  readonly #unwatchPage: () => void;
  readonly #onAbort = (): void => void this.close({ deadlineMs: 0 });
  readonly #owner: Owner;
  readonly #tokens: TokenQuestions;
  readonly #keeper: Keeper | null;
  /** Answers that the page before has left, until somebody reads them. */
  readonly #left = new Map<number, Stream>();

  /** Closes the client, for `await using`. Absent where the platform has no `Symbol.asyncDispose`. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  static {
    if (typeof Symbol.asyncDispose === "symbol") {
      Object.defineProperty(this.prototype, Symbol.asyncDispose, {
        value(this: Client) {
          return this.close();
        },
      });
    }
  }

  /** @internal */
  static open<M extends EventMapOf<M>>(
    constructor: RawClientConstructor,
    url: string,
    options: ConnectOptions<M>,
    keeper: Keeper | null,
  ): Client<M> {
    return new Client(constructor, url, options, keeper);
  }

  private constructor(
    constructor: RawClientConstructor,
    url: string,
    options: ConnectOptions<M>,
    keeper: Keeper | null,
  ) {
    super();
    this.#options = options;
    this.#keeper = keeper;
    this.#early = options.onmessage === undefined ? [] : null;
    this.#closed = new Promise((resolve) => (this.#settleClosed = resolve));
    const { messages = 256, bytes = 1 << 20, maxAgeMs = 30_000 } = options.queue ?? {};
    this.#line = new Line({ messages, bytes, maxAgeMs });
    const self = this;
    this.#owner = {
      get stage() {
        return self.lastStage;
      },
      get pending() {
        return self.lastPending;
      },
      call: (action) => this.#call(action),
      withdraw: (handle) => {
        const stood = this.#line.withdraw(handle);
        if (stood) this.#decide({ type: "send", handle, state: "refused", code: "withdrawn" });
        return stood;
      },
    };
    this.#tokens = new TokenQuestions(options.token, (action) => this.#call(action));
    this.#calls++;
    try {
      const carried = keeper === null ? null : { state: keeper.state, answers: this.#takeUp(keeper.answers) };
      this.#raw = new constructor(url, engineOptions(options, carried), (json, payload) => this.#receive(json, payload));
    } finally {
      this.#calls--;
    }
    this.#unwatchPage = watchPage(() => this.#call((raw) => raw.wake()));
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    // The application has no client yet, so it hears of the first events a little later.
    queueMicrotask(() => this.#drain());
  }

  /** What the server has confirmed on this connection. */
  get state(): State {
    return this.#state;
  }

  /** Services that are still starting. */
  get pending(): string[] {
    return [...this.#pending];
  }

  /** Services that do not work at the moment. */
  get impaired(): string[] {
    return [...this.#impaired];
  }

  /** The session, once there is one. */
  get session(): string | null {
    return this.#session;
  }

  /**
   * Sends a message, or queues it until the server is ready. Resolves when the server has taken it; otherwise rejects
   * with exactly one of `RefusedError`, `ExpiredError`, `UnknownOutcomeError`, `ClosedError`, or the signal's reason.
   */
  async send<K extends SendEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): Promise<{ id: number }> {
    return this.#plain(event, encodePayload(event, payload), options);
  }

  /** Publishes to a topic: a send like any other, with the same outcomes. */
  async publish<K extends SendEvent<M>>(
    topic: string,
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): Promise<{ id: number }> {
    return this.#plain(event, encodePayload(event, payload), options, topic);
  }

  /**
   * Follows a topic, once for each client, from now on or from `options.from`. It begins at once, whether anybody reads
   * it or not. `subscribed` comes first, and again after each reconnect; it tells in `recovered` whether anything is
   * missing.
   */
  subscribe<K extends ReceiveEvent<M> = ReceiveEvent<M>>(
    topic: string,
    options: SubscribeOptions = {},
  ): Subscription<M, K> {
    const { from, signal } = options;
    const offset = from?.offset ?? -1;
    if (from !== undefined && !(Number.isSafeInteger(offset) && offset >= 0)) {
      throw new TypeError("from.offset must be a whole number, 0 or above");
    }
    const subscription = new TopicSubscription<M, K>(this.#owner, this.#nextHandle++, topic, signal);
    try {
      this.#check(signal);
    } catch (error) {
      subscription.fail(error);
      return subscription;
    }
    this.#subscriptions.set(
      subscription.handle,
      subscription as unknown as TopicSubscription<M, ReceiveEvent<M>>,
    );
    this.#call((raw) => raw.subscribe(subscription.handle, topic, offset, from?.epoch));
    return subscription;
  }

  /** As `send`, but throws `NotReadyError` at once when the server is not ready. */
  trySend<K extends SendEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): Promise<{ id: number }> {
    const encoded = encodePayload(event, payload);
    if (this.#end !== null) throw closedError(this.#end);
    if (!this.#isReady) throw notReadyError(event, this.lastStage, this.lastPending);
    return this.#plain(event, encoded, { ...options, policy: "fail_fast" });
  }

  /** Sends a message and gives the first message of its answer. */
  async request<K extends SendEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): Promise<unknown> {
    const encoded = encodePayload(event, payload);
    this.#check(options.signal);
    return new Promise((resolve, reject) => {
      const settlers = { resolve, reject };
      this.#begin(new Request(this.#owner, this.#nextHandle++, event, options.signal, settlers), encoded, options, true);
    });
  }

  /**
   * Sends a message and gives its answer, part by part. It is sent at once. Leaving the loop early, or the signal,
   * stops the work at the server; a lost connection does not. To be read once.
   */
  stream<K extends SendEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): AsyncIterableIterator<AnswerPart, undefined> {
    const encoded = encodePayload(event, payload);
    const stream = new Stream(this.#owner, this.#nextHandle++, event, options.signal);
    try {
      this.#check(options.signal);
    } catch (error) {
      stream.release();
      stream.parts.abort(error);
      return stream.parts;
    }
    this.#begin(stream, encoded, options, true);
    return stream.parts;
  }

  /** The answers that were under way when the page was left, and that nobody reads yet; only with `carryOver`. */
  get openAnswers(): OpenAnswer[] {
    return [...this.#left].map(([id, { event }]) => ({ id, event }));
  }

  /**
   * Reads an answer of `openAnswers`, from where the page before has got to: the `offset` of a part tells which. Leaving
   * the loop early stops the work, as with `stream`. Throws a `RangeError` if there is no such answer.
   */
  attach(id: number): AsyncIterableIterator<AnswerPart, undefined> {
    const stream = this.#left.get(id);
    if (stream === undefined) throw new RangeError(`there is no open answer to send ${id}, or somebody reads it already`);
    this.#left.delete(id);
    return stream.parts;
  }

  /** Messages that answer nothing, from now on. The first reader also gets those that came before anyone listened. */
  messages(): AsyncIterableIterator<Message<M>, undefined> {
    const reader: BufferedIterator<Message<M>> = new BufferedIterator(() => this.#readers.delete(reader));
    for (const message of this.#takeEarly()) reader.push(message);
    if (this.#end === null) this.#readers.add(reader);
    else endReader(reader, this.#end);
    return reader;
  }

  /** Resolves when the server is ready: at once if it is, otherwise when this or a later connection gets there. */
  async ready(): Promise<void> {
    if (this.#isReady) return;
    if (this.#end !== null) throw this.#endError(this.#end);
    await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Lets what is under way be decided until the deadline (5 s), then ends the session. */
  close(options: { deadlineMs?: number } = {}): Promise<void> {
    this.#call((raw) => raw.close(options.deadlineMs ?? CLOSE_DEADLINE_MS));
    return this.#closed;
  }

  override addEventListener<K extends keyof ClientEvents<M> & string>(
    type: K,
    listener: TypedListener<ClientEvents<M>[K]> | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener, options);
    if (type !== "message" || listener === null) return;
    for (const message of this.#takeEarly()) this.#queue.push(() => this.#emit("message", message));
    queueMicrotask(() => this.#drain());
  }

  /** The last stage that a connection confirmed. @internal */
  get lastStage(): State {
    return this.#end?.stage ?? this.#lastStage;
  }

  /** What was pending then. @internal */
  get lastPending(): string[] {
    return this.#end?.pending ?? this.#lastPending;
  }

  get #isReady(): boolean {
    return this.#state === "processing_ready" || this.#state === "degraded";
  }

  /** Begins with the answers of the page before; gives their handles and ids. */
  #takeUp(answers: readonly OpenAnswer[]): number[] {
    return answers.flatMap(({ id, event }) => {
      const stream = new Stream(this.#owner, this.#nextHandle++, event, undefined);
      stream.advance({ type: "send", handle: stream.handle, state: "acknowledged", id });
      this.#sends.set(stream.handle, stream);
      this.#left.set(id, stream);
      return [stream.handle, id];
    });
  }

  /** What the page after this one can go on with: answers that are sure to come. */
  #keepAnswers(): void {
    const open: OpenAnswer[] = [];
    for (const send of this.#sends.values()) {
      if (send instanceof Stream && send.state === "acknowledged" && send.id !== null && !send.parts.finished) {
        open.push({ id: send.id, event: send.event });
      }
    }
    this.#keeper?.keepAnswers(open);
  }

  #takeEarly(): Message<M>[] {
    const early = this.#early ?? [];
    this.#early = null;
    return early;
  }

  #check(signal: AbortSignal | undefined): void {
    if (this.#end !== null) throw closedError(this.#end);
    signal?.throwIfAborted();
  }

  #plain(event: string, payload: Encoded | Blob, options: SendOptions, topic?: string): Promise<{ id: number }> {
    return new Promise((resolve, reject) => {
      this.#check(options.signal);
      const settlers = { resolve, reject };
      const send = new PlainSend(this.#owner, this.#nextHandle++, event, options.signal, settlers);
      this.#begin(send, payload, options, false, topic);
    });
  }

  #begin(send: Send, payload: Encoded | Blob, options: SendOptions, answer: boolean, topic?: string): void {
    this.#sends.set(send.handle, send);
    const flags = (answer ? FLAG_ANSWER : 0) | (options.policy === "fail_fast" ? FLAG_FAIL_FAST : 0);
    const { handle } = send;
    this.#queue.push(() => this.#tellSend(send));
    this.#line.push(payload, {
      handle,
      give: (encoded, waitedMs) => {
        const { expireAfterMs, key } = options;
        // Zero means "no limit" to the engine; who asks for zero wants the shortest.
        const expireAfter = expireAfterMs === undefined ? 0 : Math.max(1, Math.ceil(expireAfterMs - waitedMs));
        this.#call((raw) => {
          if (typeof encoded === "string") raw.send(handle, send.event, encoded, flags, expireAfter, key, topic);
          else raw.sendBytes(handle, send.event, encoded, flags, expireAfter, key);
        });
      },
      drop: (why, error) => {
        if (why === "expired") return this.#decide({ type: "send", handle, state: "expired" });
        const full = why === "queue_full";
        const message = full ? "too much is waiting to be sent" : `the Blob cannot be read: ${String(error)}`;
        const code = full ? "queue_full" : "payload_unreadable";
        this.#decide({ type: "send", handle, state: "refused", code, message, retry: full });
      },
    });
    // The engine does not know of what stands in line, and still it is to be told.
    this.#drain();
  }

  /** Decides a send of which the engine does not know. */
  #decide(step: RawSendEvent): void {
    this.#queue.push(() => this.#advance(step));
    this.#drain();
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

  #receive(json: string, borrowed: Encoded | undefined): void {
    const event = JSON.parse(json) as RawEvent;
    const payload = borrowed instanceof Uint8Array ? borrowed.slice() : borrowed;
    // When, not when it is told.
    const at = Date.now();
    this.#queue.push(() => this.#handle(event, payload, at));
    this.#drain();
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

  #handle(event: RawEvent, payload: Encoded | undefined, at: number): void {
    if (this.#end !== null) return;
    switch (event.type) {
      case "state": {
        const { type: _, ...change } = event;
        this.#attempt = change.attempt;
        this.#change({ ...change, at });
        break;
      }
      case "session": {
        const { id, resumed } = event;
        const lost = resumed ? null : (this.#session ?? this.#keeper?.session ?? null);
        this.#session = id;
        this.#emit("session", { id, resumed, lost }, this.#options.onsession);
        break;
      }
      case "carried":
        this.#keeper?.keep(event.state);
        break;
      case "token":
        void this.#tokens.ask(event.reason, event.number);
        break;
      case "send":
        this.#advance(event);
        break;
      case "message":
        this.#deliver({ event: event.event, payload: decodePayload(payload), offset: event.offset } as Message<M>);
        break;
      case "answer": {
        const send = this.#sends.get(event.handle);
        send?.answer(event, payload);
        if (send?.finished) {
          this.#sends.delete(event.handle);
          this.#keepAnswers();
        }
        break;
      }
      case "subscribed":
        this.#subscriptions.get(event.handle)?.subscribed(event);
        break;
      case "publication":
        this.#subscriptions.get(event.handle)?.published(event, payload);
        break;
      case "unsubscribed":
        this.#subscriptions.get(event.handle)?.unsubscribed(event);
        this.#subscriptions.delete(event.handle);
        break;
      case "frame":
        callSafely(this.#options.onframe, {
          direction: event.direction,
          text: withoutTokens(event.text),
          at,
          ...(event.bytes === undefined ? {} : { bytes: event.bytes }),
        });
        break;
      case "closed": {
        const { type: _, ...info } = event;
        this.#finish(info);
        break;
      }
    }
  }

  #change(change: StateChange): void {
    this.#state = change.state;
    this.#pending = change.pending;
    this.#impaired = change.impaired;
    // A connection that is gone wants no fresh token, an attempt that is over none at all.
    if (change.state === "connecting") this.#tokens.withdraw("refresh");
    if (change.retryInMs !== null) this.#tokens.withdraw("connect");
    if (change.state !== "closed") {
      this.#lastStage = change.state;
      this.#lastPending = change.pending;
    }
    if (this.#isReady) {
      this.#wasReady = true;
      for (const waiting of this.#waiting.splice(0)) waiting.resolve();
    }
    this.#emit("statechange", change, this.#options.onstatechange);
  }

  #advance(step: RawSendEvent): void {
    const send = this.#sends.get(step.handle);
    if (send === undefined || send.decided) return;
    const before = send.state;
    send.advance(step);
    if (send.finished) this.#sends.delete(send.handle);
    if (send instanceof Stream) this.#keepAnswers();
    // Written again on another connection is no news.
    if (send.state !== before) this.#tellSend(send, step);
  }

  #tellSend(send: Send, { code, message, service }: Partial<RawSendEvent> = {}): void {
    const { handle, event, state, id } = send;
    const why = { code: code ?? null, message: message ?? null, service: service ?? null };
    this.#emit("sendstate", { handle, event, state, id, ...why }, this.#options.onsendstate);
  }

  #deliver(message: Message<M>): void {
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

  #emit<K extends keyof ClientEvents<M>>(
    type: K,
    detail: ClientEvents<M>[K],
    callback?: (detail: ClientEvents<M>[K]) => void,
  ): void {
    callSafely(callback, detail);
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** The end, exactly once: everything that waits is settled before anyone is told. */
  #finish(info: CloseInfo): void {
    const previous = this.#state;
    this.#end = info;
    this.#state = "closed";
    this.#unwatchPage();
    this.#tokens.withdraw("connect");
    this.#tokens.withdraw("refresh");
    this.#keeper?.close();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const raw = this.#raw;
    this.#raw = null;
    this.#line.clear();
    // The engine is on the stack while it reports; it can only go after that.
    queueMicrotask(() => raw?.free());

    const undecided = [...this.#sends.values()].filter((send) => !send.decided);
    for (const send of this.#sends.values()) send.close(info);
    this.#sends.clear();
    for (const subscription of this.#subscriptions.values()) subscription.close(info);
    this.#subscriptions.clear();
    for (const send of undecided) this.#tellSend(send, { code: "closed", message: info.reason });
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#endError(info));
    for (const reader of this.#readers) endReader(reader, info);
    this.#readers.clear();
    this.#settleClosed();
    if (previous !== "closed") {
      this.#change({
        state: "closed",
        previous,
        pending: info.pending,
        impaired: [],
        reason: info.reason,
        connection: null,
        attempt: this.#attempt,
        handover: false,
        at: Date.now(),
        retryInMs: null,
        code: info.code,
      });
    }
    this.#emit("close", info);
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

  #endError(info: CloseInfo): ClosedError | ConnectError {
    return this.#wasReady ? closedError(info) : connectError(info);
  }
}

function endReader<T>(reader: BufferedIterator<T>, info: CloseInfo): void {
  if (info.code === 1000) reader.end();
  else reader.fail(closedError(info));
}
