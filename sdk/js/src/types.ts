import type { Binary } from "./payloads.js";
import type { WasmSource } from "./raw.js";

/** What may be sent and received under one event name. */
export interface EventTypes {
  /** What a send carries. */
  send?: unknown;
  /** What a message carries. */
  receive?: unknown;
  /** What answers a send: the payload under the name of each part. */
  answer?: object;
  /** What each part carries of a stream that a send opens. */
  stream?: unknown;
  /** What a question carries by which the server asks. */
  asks?: unknown;
  /** What answers such a question. */
  reply?: unknown;
}

/** What may be sent and received under each event name. */
export interface EventMap {
  [event: string]: EventTypes;
}

/** The constraint on an event map; unlike `EventMap` itself it also takes an `interface` without an index signature. */
export type EventMapOf<M> = {
  [K in keyof M]: EventTypes;
};

/** The events of `M` that may be sent. */
export type SendEvent<M> = {
  [K in keyof M & string]: "send" extends keyof M[K] ? K : never;
}[keyof M & string];

/** What `event` carries when it is sent. Where that is a `Uint8Array`, bytes of any kind will do. */
export type SendPayload<M, K extends keyof M> = M[K] extends { send?: infer P } ? Sendable<P> : never;

type Sendable<P> = P extends Uint8Array ? Binary : P;

/** The events of `M` that open a stream. */
export type StreamEvent<M> = {
  [K in SendEvent<M>]: "stream" extends keyof M[K] ? K : never;
}[SendEvent<M>];

/** What each part of a stream of `event` carries. Where that is a `Uint8Array`, bytes of any kind will do. */
export type StreamPayload<M, K extends keyof M> = M[K] extends { stream?: infer P } ? Sendable<P> : never;

/** The events of `M` that may be received. */
export type ReceiveEvent<M> = {
  [K in keyof M & string]: "receive" extends keyof M[K] ? K : never;
}[keyof M & string];

/** What `event` carries when it is received. */
export type ReceivePayload<M, K extends keyof M> = M[K] extends { receive?: infer P } ? P : never;

/** The events of `M` by which the server asks. */
export type QuestionEvent<M> = {
  [K in keyof M & string]: "asks" extends keyof M[K] ? K : never;
}[keyof M & string];

/** What a question of that name carries. */
export type QuestionPayload<M, K extends keyof M> = M[K] extends { asks?: infer P } ? P : never;

/** What answers it. Where that is a `Uint8Array`, bytes of any kind will do. Where the map does not say, that may be anything. */
export type ReplyPayload<M, K extends keyof M> = M[K] extends { reply: infer P } ? Sendable<P> : unknown;

/** Answers a question of the server: with what it gives or resolves to, or with the error that it throws. */
export type QuestionHandler<M, K extends keyof M> = (
  payload: QuestionPayload<M, K>,
  context: QuestionContext,
) => ReplyPayload<M, K> | Promise<ReplyPayload<M, K>>;

/** What a handler is told besides the question. */
export interface QuestionContext {
  /** Aborts when nobody waits for the answer any more: the server has withdrawn the question, or the session is over. */
  readonly signal: AbortSignal;
  /** Its place in the session's inbox, from 1: it names the question. */
  readonly offset: number;
}

/** A message from the server that answers nothing: chat, notifications. `event` tells the type of `payload`. */
export type Message<M extends EventMapOf<M> = EventMap> = {
  [K in ReceiveEvent<M>]: {
    readonly event: K;
    readonly payload: ReceivePayload<M, K>;
    /** Its place in the session's inbox, from 1. */
    readonly offset: number;
  };
}[ReceiveEvent<M>];

/** A message of a topic. `event` tells the type of `payload`. */
export type Publication<M extends EventMapOf<M> = EventMap, K extends ReceiveEvent<M> = ReceiveEvent<M>> = {
  [E in K]: {
    readonly type: "publication";
    readonly event: E;
    readonly payload: ReceivePayload<M, E>;
    /** Its place in the topic: increasing, with gaps. */
    readonly offset: number;
  };
}[K];

/** The subscription stands: for the first time, again after a reconnect, or behind a gap. */
export interface Subscribed {
  readonly type: "subscribed";
  /** Whether nothing is missing since the last publication, or since the position that was asked for. */
  readonly recovered: boolean;
  /** Publications above this one follow. */
  readonly offset: number;
  /** The replay ends with this one. */
  readonly head: number;
  /** What the offsets are offsets of: with another epoch they begin anew. */
  readonly epoch: string;
}

/** What comes of a topic that is followed, in order. */
export type TopicNews<M extends EventMapOf<M> = EventMap, K extends ReceiveEvent<M> = ReceiveEvent<M>> =
  | Subscribed
  | Publication<M, K>;

/**
 * A topic that is followed, across reconnects. Leaving the loop unsubscribes. It throws a `SubscriptionError` if the
 * server refuses or revokes it, and if it is not read as fast as it comes.
 */
export interface Subscription<M extends EventMapOf<M> = EventMap, K extends ReceiveEvent<M> = ReceiveEvent<M>>
  extends AsyncIterableIterator<TopicNews<M, K>, undefined> {
  readonly topic: string;
  /** Follows it no longer: the loop ends once it has read what had come before. */
  unsubscribe(): void;
}

/** From where on a topic is followed. */
export interface Position {
  /** The last offset that is held; 0 for all that is kept. */
  readonly offset: number;
  /** The epoch of that offset, as `subscribed` told it. */
  readonly epoch?: string;
}

/** Which page of what a topic has had. */
export interface HistoryOptions {
  /** How many publications at most, 1 to 256. Default: 50. */
  limit?: number;
  /** What the page ends below, such as the oldest publication that is held. Default: the head of the topic. */
  before?: Position;
  /** Gives the page up; the promise rejects with its reason. */
  signal?: AbortSignal;
}

/** A page of what a topic has had: the newest publications below a place that are kept. */
export interface HistoryPage<M extends EventMapOf<M> = EventMap, K extends ReceiveEvent<M> = ReceiveEvent<M>> {
  /** The oldest first. */
  readonly publications: readonly Publication<M, K>[];
  /** What the offsets are offsets of. If it is another than was asked for, there are no publications. */
  readonly epoch: string;
  /** The last offset of the topic. */
  readonly head: number;
  /** Whether anything older is kept. */
  readonly more: boolean;
  /** The page before this one, as large as this was to be; null if nothing older is kept. */
  older(options?: { signal?: AbortSignal }): Promise<HistoryPage<M, K> | null>;
}

export interface SubscribeOptions {
  /** Default: only what comes from now on. */
  from?: Position;
  /** Begins with so many of the latest, or with all that are kept if those are fewer; `from` outranks it. Default: 0. */
  last?: number;
  /** Unsubscribes; the loop throws its reason. */
  signal?: AbortSignal;
}

/** What answers `event`, by the names of the parts. Where the map does not say, that may be anything. */
export type AnswerEvents<M, K extends keyof M> = M[K] extends { answer: infer A } ? A : Record<string, unknown>;

/** A part of an answer. `event` tells the type of `payload`. */
export type AnswerPart<A = Record<string, unknown>> = {
  [E in keyof A & string]: {
    readonly event: E;
    readonly payload: A[E];
    /** Its place in the session's inbox, from 1. */
    readonly offset: number;
  };
}[keyof A & string];

/** What `request` gives: what the first part carries; undefined if the answer has none. */
export type AnswerPayload<M, K extends keyof M> = AnswerPart<AnswerEvents<M, K>>["payload"] | undefined;

/**
 * A send that goes on: parts to the one handler that it started, in order, and the answer that comes back meanwhile. Both
 * go on across reconnects. Leaving the loop stops the stream and the work at the server.
 */
export interface ClientStream<M extends EventMapOf<M> = EventMap, K extends StreamEvent<M> = StreamEvent<M>>
  extends AsyncIterableIterator<AnswerPart<AnswerEvents<M, K>>, undefined> {
  /**
   * Sends a part. Resolves when there is room for it, which waits for the handler to have read enough of those before:
   * who awaits each never runs ahead. Rejects with the code `stream_over` if the stream is over, and `stream_full` if the
   * part before still waits for room. What else becomes of a part but that it is taken stops the stream, and is thrown by
   * the loop, too.
   */
  write(part: StreamPayload<M, K>): Promise<void>;
  /** Says that no part follows. Resolves when the server has taken that, and so every part, or wants no more of them. */
  end(): Promise<void>;
}

export interface StreamOptions<P = unknown> extends SendOptions {
  /**
   * Writes what comes of it, part by part, and then ends the stream. If it throws, the stream is stopped and the answer
   * throws the same; when the stream is over, it is left.
   */
  from?: AsyncIterable<P> | Iterable<P>;
  /** Stops the stream and the work at the server; the loop and the writes that wait throw its reason. */
  signal?: AbortSignal;
}

/**
 * What the server has confirmed on this connection. Only `processing_ready` and `degraded` mean that it will process
 * the next message.
 */
export type State =
  | "connecting"
  | "accepted"
  | "authenticated"
  | "services_ready"
  | "processing_ready"
  | "degraded"
  | "closed";

/** A state and everything that is known with it. */
export interface StateChange {
  readonly state: State;
  readonly previous: State;
  /** Services that are still starting. */
  readonly pending: string[];
  /** Services that do not work at the moment. */
  readonly impaired: string[];
  /** Why, for a person. */
  readonly reason: string | null;
  /** The server's name for this connection. */
  readonly connection: string | null;
  /** The number of this attempt to connect, from 1. */
  readonly attempt: number;
  /** Whether the server goes away, and the next connection is being opened while this one goes on. */
  readonly handover: boolean;
  /** When, as `Date.now()`. */
  readonly at: number;
  /** How long until the next attempt, if one is waited for. */
  readonly retryInMs: number | null;
  /** The close code of the connection that ended, if one did. */
  readonly code: number | null;
}

/**
 * `queued`, `in_flight` and `held` are under way; each of the others is final. A send is `held` while a service that it
 * needs does not work; it goes out by itself when the service is back.
 */
export type SendState = "queued" | "in_flight" | "held" | "acknowledged" | "refused" | "expired" | "unknown";

/** What is told of a send besides its state: each is null where the state has none. */
interface SendDetails<Id, Code, Service> {
  /** Names the send within this client. */
  readonly handle: number;
  readonly event: string;
  /** Its id on the wire. */
  readonly id: Id;
  /** Why it was refused or is unknown, for a program. */
  readonly code: Code;
  /** The same for a person. */
  readonly message: string | null;
  /** The service that it is held for, or was refused for. */
  readonly service: Service;
}

/** A send and what has become of it: `state` tells what else is known. */
export type SendChange =
  | ({ readonly state: "queued" | "expired" } & SendDetails<number | null, null, null>)
  | ({ readonly state: "in_flight" | "acknowledged" } & SendDetails<number, null, null>)
  | ({ readonly state: "held" } & SendDetails<null, null, string>)
  | ({ readonly state: "refused" } & SendDetails<number | null, string, string | null>)
  | ({ readonly state: "unknown" } & SendDetails<number | null, string, null>);

/** One frame on the wire; secrets are redacted. */
export interface Frame {
  readonly direction: "in" | "out";
  readonly text: string;
  /** So many bytes of payload were beside it, in a binary message. */
  readonly bytes?: number;
  /** When, as `Date.now()`. */
  readonly at: number;
}

/** A session began, or goes on. */
export type SessionChange =
  /** It is the former one: nothing is missing. */
  | { readonly id: string; readonly resumed: true; readonly lost: null }
  /**
   * It is a new one. `lost` is the one that could not be resumed, if there was one: messages that it held and this client
   * has not had are lost, and its open answers end with the error `session_lost`.
   */
  | { readonly id: string; readonly resumed: false; readonly lost: string | null };

/** Why it is over. */
export interface CloseInfo {
  /** The close code; 1000 after `close()`. */
  readonly code: number | null;
  readonly reason: string;
  /** The clause of the protocol that was broken, if one was. */
  readonly clause: string | null;
  /** The last stage that the last connection confirmed. */
  readonly stage: State;
  readonly pending: string[];
  readonly retryable: boolean;
  readonly remedy: string;
}

/** The events of every client; what each carries is in `event.detail`. */
export interface BaseEvents<In, Change> {
  statechange: Change;
  message: In;
  close: CloseInfo;
}

/** What only a server that speaks the protocol can tell. */
export interface SessionEvents {
  sendstate: SendChange;
  session: SessionChange;
}

/** The events of a client; what each carries is in `event.detail`. */
export interface ClientEvents<M extends EventMapOf<M> = EventMap>
  extends BaseEvents<Message<M>, StateChange>,
    SessionEvents {}

/** What a token is wanted for: an attempt to connect, or a living connection whose token is about to end. */
export type TokenReason = "connect" | "refresh";

/** What the token provider is told. */
export interface TokenRequest {
  readonly reason: TokenReason;
  /** Aborts when nobody waits for the token any more. */
  readonly signal: AbortSignal;
}

/** A token, a one-time ticket, or nothing. */
export type Credential = string | { readonly ticket: string } | null;

/**
 * Gives a token. What it throws is followed by another try, later, unless it has `retryable: false`: then asking again
 * cannot help.
 */
export type TokenProvider = (request: TokenRequest) => Credential | Promise<Credential>;

/** What can be chosen whatever the server speaks. */
export interface BaseOptions {
  /** Gives the call up, and closes the client once it is connected. To bound only the wait use `readyTimeoutMs`. */
  signal?: AbortSignal;
  /** As the event of the same name, but in place before anything can happen. */
  onclose?: (info: CloseInfo) => void;
  /** What may wait for the server to be ready; `history` waits as long for its page. Default: 256 messages, 1 MiB, 30 s. */
  queue?: { messages?: number; bytes?: number; maxAgeMs?: number };
  /** How long to wait between attempts, at random below a bound that doubles. */
  backoff?: { firstMs?: number; baseMs?: number; capMs?: number };
  /** How long the token, or the opening, and the socket may take, per attempt. Default: 10 s. */
  connectTimeoutMs?: number;
  /**
   * How long the call may take in all, however many attempts that is; then it rejects, naming the last stage. Default: as
   * long as a retry can help.
   */
  readyTimeoutMs?: number;
  /** Where the wasm module is, if not beside the script. */
  wasm?: WasmSource;
  /** `dialling`: give the client at once, so that one can type before the server is ready. Default: `ready`. */
  resolveWhen?: "ready" | "dialling";
}

/** How to use a server that speaks the protocol. */
export interface ConnectOptions<M extends EventMapOf<M> = EventMap> extends BaseOptions {
  /** Asked before each attempt to connect, and for a fresh token before the one in force ends. */
  token?: TokenProvider;
  /** As the events of the same names, but in place before anything can happen. */
  onstatechange?: (change: StateChange) => void;
  onmessage?: (message: Message<M>) => void;
  onsendstate?: (send: SendChange) => void;
  /** As `Client.answer`, but in place before anything can happen. */
  questions?: { [K in QuestionEvent<M>]?: QuestionHandler<M, K> };
  onsession?: (session: SessionChange) => void;
  /** Every frame of the connection, to look at. */
  onframe?: (frame: Frame) => void;
  /** Whether the hello rides in the upgrade, which saves a round trip. Default: true. */
  helloInUpgrade?: boolean;
  /**
   * Further hosts, by name or address and without a port, to which a server that goes away may send this client, and
   * its token with it. Default: only the host of the address that it is given.
   */
  alternates?: string[];
  /**
   * Keeps the session over a reload of the page, under this name: the next page that connects with it goes on where
   * this one stopped, and finds the answers that are under way in `openAnswers`. Kept in `sessionStorage`, so the
   * session's token can be read by every script of the page's origin in this tab. A duplicated tab begins a session of
   * its own. No effect where there are no pages. Default: a reload begins a new session.
   */
  carryOver?: string;
}

export interface SendOptions {
  /** What to do before the server is ready: wait in the queue (the default), or be refused. */
  policy?: "queue" | "fail_fast";
  /** Expire when not written within so long. */
  expireAfterMs?: number;
  /** Recognised across sessions, so that the send may be repeated after one is lost. At most 64 bytes. */
  key?: string;
  /** Withdraws the send if it was not written yet; otherwise its outcome becomes unknown. */
  signal?: AbortSignal;
}
