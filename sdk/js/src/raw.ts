// The boundary to the wasm module. Everything that crosses it is a string, a number, bytes or a function: cheap, and easy
// to script in a test.

import type { Encoded } from "./payloads.js";
import type { SendState, State, TokenReason } from "./types.js";

/** Where the wasm module is, when it is not where the entry expects it. */
export type WasmSource = URL | string | Response | BufferSource | WebAssembly.Module;

/** `send`: messages that answer this one are wanted. */
export const FLAG_ANSWER = 1;
/** `send`: refuse at once when the server is not ready. */
export const FLAG_FAIL_FAST = 2;
/** `send`: parts of this one follow. */
export const FLAG_STREAM = 4;

/** A token: the event had the reason `refresh`. */
export const FLAG_REFRESH = 1;
/** A token: it is a ticket. */
export const FLAG_TICKET = 2;
/** No token: asking again cannot help. */
export const FLAG_FATAL = 4;

/**
 * The engine: the shared core, the page's WebSocket and its timers.
 *
 * No method may hold a borrow of itself while it calls `onEvent`, since the application calls back from there.
 */
export interface RawClient {
  /** Answers a `token` event: the token, if there is one. The flags are `FLAG_REFRESH` and `FLAG_TICKET`. */
  provideToken(number: number, flags: number, token: string | undefined): void;
  /** Answers a `token` event: why there is none. The flags are `FLAG_REFRESH` and `FLAG_FATAL`. */
  failToken(number: number, flags: number, message: string): void;
  send(
    handle: number,
    event: string,
    payload: string,
    flags: number,
    expireAfterMs: number,
    key: string | undefined,
    topic: string | undefined,
  ): void;
  /** As `send`, with bytes in place of JSON text. They are copied before it returns. */
  sendBytes(
    handle: number,
    event: string,
    payload: Uint8Array,
    flags: number,
    expireAfterMs: number,
    key: string | undefined,
    topic: string | undefined,
  ): void;
  /** A part of the stream that the send `stream` has opened; with `end` nothing but the end. */
  write(handle: number, stream: number, payload: string, end: boolean): void;
  /** As `write`, with bytes in place of JSON text. They are copied before it returns. */
  writeBytes(handle: number, stream: number, payload: Uint8Array): void;
  /** Answers a question. */
  reply(handle: number, question: number, payload: string): void;
  /** As `reply`, with bytes in place of JSON text. They are copied before it returns. */
  replyBytes(handle: number, question: number, payload: Uint8Array): void;
  /** Answers a question with why there is no answer. */
  replyError(handle: number, question: number, code: string, message: string): void;
  /** Answers a `token` event at an existing server: a JSON text with the opening `messages`. */
  provideOpening(number: number, messages: string): void;
  /** A message for an existing server. */
  sendText(handle: number, text: string, flags: number, expireAfterMs: number): void;
  /** Follows a topic, from behind `offset` on; below 0: from now on, and the `last` so many before. */
  subscribe(handle: number, topic: string, offset: number, epoch: string | undefined, last: number): void;
  /** Asks for a page of what a topic has had, below `before`; below 0: at the head. */
  history(handle: number, topic: string, limit: number, before: number, epoch: string | undefined): void;
  /** Stops an answer or a subscription, or gives a page up; idempotent. */
  cancel(handle: number): void;
  /** Gives a send up: withdrawn if it was never written, unknown if it was. */
  abandon(handle: number): void;
  close(deadlineMs: number): void;
  /** The page is visible or online again: find out whether the connection still lives. */
  wake(): void;
  free(): void;
}

export type RawClientConstructor = new (
  url: string,
  /** As `engineOptions` writes them. */
  options: string,
  /** Answers the questions `rule` and `stop`. Bytes are the engine's own: they are to be copied before this returns. */
  onEvent: (json: string, payload: Encoded | undefined) => boolean | void,
) => RawClient;

/** Starts the wasm module once, and gives its class. */
export type Loader = (source: WasmSource | undefined) => Promise<RawClientConstructor>;

/** What `onEvent` is told, as parsed from its first argument. */
export type RawEvent<S extends string = State> =
  | RawStateEvent<S>
  | { type: "session"; id: string; resumed: boolean }
  /** Store this in place of what was stored before; null: there is nothing to take up any more. */
  | { type: "carried"; state: string | null }
  /** The attempt, or the refresh, with this number wants a token. */
  | { type: "token"; reason: TokenReason; number: number }
  | RawSendEvent
  | { type: "message"; offset: number; event: string }
  | RawAnswerEvent
  | RawQuestionEvent
  /** Nobody waits for the answer to this question any more. */
  | { type: "withdrawn"; question: number }
  /** A message of an existing server, as it came. */
  | { type: "text" }
  /** Whether that message of an existing server says that it is ready. */
  | { type: "rule" }
  /** Whether that end of an existing server's connection is for good; the reason is the payload. */
  | { type: "stop"; code: number }
  | RawTopicEvent
  /** Tokens and all: not to be shown as it is. */
  | { type: "frame"; direction: "in" | "out"; text: string; bytes?: number }
  | RawClosedEvent;

export interface RawStateEvent<S extends string> {
  type: "state";
  state: S;
  previous: S;
  pending: string[];
  impaired: string[];
  reason: string | null;
  connection: string | null;
  attempt: number;
  handover: boolean;
  retryInMs: number | null;
  code: number | null;
}

export interface RawSendEvent {
  type: "send";
  handle: number;
  /** `written`: at an existing server. */
  state: SendState | "written";
  id?: number | null;
  attempt?: number;
  code?: string | null;
  message?: string | null;
  retry?: boolean | null;
  retryAfterMs?: number;
  service?: string | null;
  stage?: State | null;
}

export interface RawAnswerEvent {
  type: "answer";
  handle: number;
  offset: number;
  event: string;
  end: boolean;
  error: { code: string; message: string } | null;
}

export interface RawQuestionEvent {
  type: "question";
  /** Names it, for this client. */
  question: number;
  offset: number;
  event: string;
}

export interface RawSubscribedEvent {
  type: "subscribed";
  handle: number;
  offset: number;
  head: number;
  epoch: string;
  recovered: boolean;
}

export interface RawPublicationEvent {
  type: "publication";
  handle: number;
  offset: number;
  event: string;
}

/** A publication of a page, in its place. */
export interface RawPagedEvent extends Omit<RawPublicationEvent, "type"> {
  type: "paged";
}

/** The end of a page, behind its publications. */
export interface RawPageEvent {
  type: "page";
  handle: number;
  epoch: string;
  head: number;
  more: boolean;
}

/** Of a page, too: there is none. */
export interface RawUnsubscribedEvent {
  type: "unsubscribed";
  handle: number;
  /** Empty if the application wanted it. */
  code: string;
  retry: boolean;
}

/** What the engine tells of a topic, or of a page. */
export type RawTopicEvent =
  | RawSubscribedEvent
  | RawPublicationEvent
  | RawUnsubscribedEvent
  | RawPagedEvent
  | RawPageEvent;

export interface RawClosedEvent {
  type: "closed";
  code: number | null;
  reason: string;
  clause: string | null;
  stage: State;
  pending: string[];
  retryable: boolean;
  remedy: string;
}
