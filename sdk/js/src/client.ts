import { BaseClient } from "./base.js";
import type { Keeper, OpenAnswer } from "./carry.js";
import { notReadyError } from "./errors.js";
import { callSafely } from "./events.js";
import { history } from "./history.js";
import { Line } from "./line.js";
import { engineOptions } from "./options.js";
import { decodePayload, encodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import { FLAG_ANSWER } from "./raw.js";
import type { RawClientConstructor, RawEvent, RawSendEvent, RawStateEvent } from "./raw.js";
import { Questions } from "./questions.js";
import { withoutTokens } from "./redaction.js";
import { PlainSend, Request, Stream, sending } from "./sends.js";
import type { Give, Send } from "./sends.js";
import { OpenStream } from "./streams.js";
import { subscribe } from "./subscriptions.js";
import type { TopicHost, TopicListener } from "./subscriptions.js";
import { TokenQuestions } from "./token.js";
import type {
  AnswerEvents,
  AnswerPart,
  AnswerPayload,
  ClientStream,
  CloseInfo,
  ConnectOptions,
  EventMap,
  EventMapOf,
  HistoryOptions,
  HistoryPage,
  Message,
  QuestionEvent,
  QuestionHandler,
  ReceiveEvent,
  SendChange,
  SendEvent,
  SendOptions,
  SendPayload,
  SessionEvents,
  State,
  StateChange,
  StreamEvent,
  StreamOptions,
  StreamPayload,
  SubscribeOptions,
  Subscription,
} from "./types.js";

/** A connection to a server, through as many sockets as it takes. `connect()` makes one. */
export class Client<M extends EventMapOf<M> = EventMap> extends BaseClient<
  State,
  Message<M>,
  StateChange,
  SessionEvents
> {
  readonly #options: ConnectOptions<M>;
  #impaired: string[] = [];
  #session: string | null = null;
  #nextHandle = 1;
  readonly #sends = new Map<number, Send>();
  readonly #topics = new Map<number, TopicListener>();
  readonly #questions: Questions;
  readonly #line: Line;
  readonly #owner: TopicHost;
  readonly #tokens: TokenQuestions;
  readonly #keeper: Keeper | null;
  /** Answers that the page before has left, until somebody reads them. */
  readonly #left = new Map<number, Stream>();

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
    super(options);
    this.#options = options;
    this.#keeper = keeper;
    const { messages = 256, bytes = 1 << 20, maxAgeMs = 30_000 } = options.queue ?? {};
    this.#line = new Line({ messages, bytes, maxAgeMs });
    const self = this;
    this.#owner = {
      get stage() {
        return self.last.stage;
      },
      get pending() {
        return self.last.pending;
      },
      call: (action) => this.turns.call(action),
      newHandle: () => this.#nextHandle++,
      check: (signal) => this.check(signal),
      begin: (send, encoded, give) => this.#begin(send, encoded, give),
      listen: (listener) => this.#topics.set(listener.handle, listener),
      withdraw: (handle) => {
        const stood = this.#line.withdraw(handle);
        if (stood) this.#decide({ type: "send", handle, state: "refused", code: "withdrawn" });
        return stood;
      },
    };
    this.#questions = new Questions(this.#owner, options.questions);
    this.#tokens = new TokenQuestions(options.token, this.#owner.call);
    const carried = keeper === null ? null : { state: keeper.state, answers: this.#takeUp(keeper.answers) };
    const told = (json: string, payload: Encoded | undefined): void => this.receive(JSON.parse(json) as RawEvent, payload);
    this.begin(() => new constructor(url, engineOptions(options, carried), told));
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
   * Follows a topic, once for each client, from now on, from `options.from`, or with the latest `options.last`. It begins at
   * once, whether anybody reads it or not. `subscribed` comes first, and again after each reconnect; it tells in `recovered` whether anything is
   * missing.
   */
  subscribe<K extends ReceiveEvent<M> = ReceiveEvent<M>>(
    topic: string,
    options: SubscribeOptions = {},
  ): Subscription<M, K> {
    return subscribe(this.#owner, topic, options);
  }

  /**
   * Asks for a page of what a topic has had: the newest publications that are kept, or the newest below `options.before`.
   * It needs no subscription, and comes once and whole, through as many connections as it takes; `older()` of a page goes on
   * from there. Rejects with a `HistoryError` if it is refused, or has not come within `queue.maxAgeMs` (`timeout`).
   */
  history<K extends ReceiveEvent<M> = ReceiveEvent<M>>(
    topic: string,
    options: HistoryOptions = {},
  ): Promise<HistoryPage<M, K>> {
    return history(this.#owner, topic, options);
  }

  /** As `send`, but throws `NotReadyError` at once when the server is not ready. */
  trySend<K extends SendEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): Promise<{ id: number }> {
    const encoded = encodePayload(event, payload);
    this.check(undefined);
    if (!this.isReady) throw notReadyError(event, this.last.stage, this.last.pending);
    return this.#plain(event, encoded, { ...options, policy: "fail_fast" });
  }

  /** Sends a message and gives the first message of its answer. */
  async request<K extends SendEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): Promise<AnswerPayload<M, K>> {
    const encoded = encodePayload(event, payload);
    this.check(options.signal);
    return new Promise<unknown>((resolve, reject) => {
      const settlers = { resolve, reject };
      this.#begin(new Request(this.#owner, this.#nextHandle++, event, options.signal, settlers), encoded, sending(options, FLAG_ANSWER));
    }) as Promise<AnswerPayload<M, K>>;
  }

  /**
   * Sends a message and gives its answer, part by part. It is sent at once. Leaving the loop early, or the signal,
   * stops the work at the server; a lost connection does not. To be read once.
   */
  stream<K extends SendEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: SendOptions = {},
  ): AsyncIterableIterator<AnswerPart<AnswerEvents<M, K>>, undefined> {
    const encoded = encodePayload(event, payload);
    const stream = new Stream(this.#owner, this.#nextHandle++, event, options.signal);
    // Whatever the map says of them: they are only handed on here.
    const parts = stream.parts as unknown as AsyncIterableIterator<AnswerPart<AnswerEvents<M, K>>, undefined>;
    try {
      this.check(options.signal);
    } catch (error) {
      stream.release();
      stream.parts.abort(error);
      return parts;
    }
    this.#begin(stream, encoded, sending(options, FLAG_ANSWER));
    return parts;
  }

  /**
   * Opens a stream: a send that parts follow, all to the one handler that it started, while its answer comes back. It is
   * sent at once. To be read once; unread parts of the answer are held as those of `stream`.
   */
  openStream<K extends StreamEvent<M>>(
    event: K,
    payload: SendPayload<M, K>,
    options: StreamOptions<StreamPayload<M, K>> = {},
  ): ClientStream<M, K> {
    return new OpenStream<M, K>(this.#owner, event, payload, options);
  }

  /**
   * Answers the questions of the server that have this name, with what `handler` gives or resolves to. What it throws is
   * told to the server: its `code`, if that is a string, otherwise `failed`, and its `message`. A later handler of the same
   * name takes its place. What is asked before there is one is answered with `unhandled`: `ConnectOptions.questions` is in
   * place before anything can come. Gives what takes the handler back; questions that it has begun on it goes on with.
   */
  answer<K extends QuestionEvent<M>>(event: K, handler: QuestionHandler<M, K>): () => void {
    return this.#questions.handle(event, handler as QuestionHandler<EventMap, string>);
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

  /** Resolves when the server is ready: at once if it is, otherwise when this or a later connection gets there. */
  ready(): Promise<void> {
    return this.whenReady();
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

  #plain(event: string, payload: Encoded | Blob, options: SendOptions, topic?: string): Promise<{ id: number }> {
    return new Promise((resolve, reject) => {
      this.check(options.signal);
      const settlers = { resolve, reject };
      const send = new PlainSend(this.#owner, this.#nextHandle++, event, options.signal, settlers);
      this.#begin(send, payload, sending(options, 0, topic));
    });
  }

  /** Gives a send its place, and gives it to the engine when its payload is there. */
  #begin(send: Send, payload: Encoded | Blob, give: Give): void {
    const { handle } = send;
    this.#sends.set(handle, send);
    this.turns.queue(() => this.#tellSend(send));
    this.#line.push(payload, {
      handle,
      give: (encoded, waitedMs) => this.turns.call((raw) => give(raw, send, encoded, waitedMs)),
      drop: (why, error) => {
        if (why === "expired") return this.#decide({ type: "send", handle, state: "expired" });
        const full = why === "queue_full";
        const message = full ? "too much is waiting to be sent" : `the Blob cannot be read: ${String(error)}`;
        const code = full ? "queue_full" : "payload_unreadable";
        this.#decide({ type: "send", handle, state: "refused", code, message, retry: full });
      },
    });
    // The engine does not know of what stands in line, and still it is to be told.
    this.turns.take();
  }

  /** Decides a send of which the engine does not know. */
  #decide(step: RawSendEvent): void {
    this.turns.tell(() => this.#advance(step));
  }

  /** @internal */
  protected override changeOf({ type: _, ...change }: RawStateEvent<State>, at: number): StateChange {
    return { ...change, at };
  }

  /** @internal */
  protected override changed(change: StateChange): string[] {
    this.#impaired = change.impaired;
    // A connection that is gone wants no fresh token, an attempt that is over none at all.
    if (change.state === "connecting") this.#tokens.withdraw("refresh");
    if (change.retryInMs !== null) this.#tokens.withdraw("connect");
    return change.pending;
  }

  /** @internal */
  protected override handle(event: RawEvent, payload: Encoded | undefined, at: number): void {
    switch (event.type) {
      case "session": {
        const { id, resumed } = event;
        const lost = this.#session ?? this.#keeper?.session ?? null;
        this.#session = id;
        this.tell("session", resumed ? { id, resumed, lost: null } : { id, resumed, lost }, this.#options.onsession);
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
        this.deliver({ event: event.event, payload: decodePayload(payload), offset: event.offset } as Message<M>);
        break;
      case "question":
        this.#questions.asked(event, payload);
        break;
      case "withdrawn":
        this.#questions.withdrawn(event.question);
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
      case "publication":
      case "unsubscribed":
      case "paged":
      case "page":
        if (this.#topics.get(event.handle)?.told(event, payload)) this.#topics.delete(event.handle);
        break;
      case "frame":
        callSafely(this.#options.onframe, {
          direction: event.direction,
          text: withoutTokens(event.text),
          at,
          ...(event.bytes === undefined ? {} : { bytes: event.bytes }),
        });
        break;
    }
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
    // Each state comes with what belongs to it, from the engine and from here.
    this.tell("sendstate", { handle, event, state, id, ...why } as SendChange, this.#options.onsendstate);
  }

  /** @internal */
  protected override settle(info: CloseInfo): void {
    this.#tokens.withdraw("connect");
    this.#tokens.withdraw("refresh");
    this.#keeper?.close();
    this.#questions.close();
    this.#line.clear();
    const undecided = [...this.#sends.values()].filter((send) => !send.decided);
    for (const send of this.#sends.values()) send.close(info);
    this.#sends.clear();
    for (const topic of this.#topics.values()) topic.close(info);
    this.#topics.clear();
    for (const send of undecided) this.#tellSend(send, { code: "closed", message: info.reason });
  }
}
