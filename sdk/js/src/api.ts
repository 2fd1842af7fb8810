// What every entry exports, beside its `connect`.

export type { OpenAnswer } from "./carry.js";
export { Client } from "./client.js";
export { ExistingClient, UnconfirmedClient } from "./existing.js";
export type {
  ConfirmedState,
  ExistingEvents,
  ExistingOptions,
  ExistingStateChange,
  UnconfirmedOptions,
  UnconfirmedState,
  Written,
} from "./existing-options.js";
export {
  AnswerError,
  ClosedError,
  ConnectError,
  ExpiredError,
  HistoryError,
  NotReadyError,
  QueueFullError,
  ReadywireError,
  RefusedError,
  ServiceImpairedError,
  SubscriptionError,
  UnknownOutcomeError,
} from "./errors.js";
export type { TypedEventTarget, TypedListener } from "./events.js";
export type { Binary } from "./payloads.js";
export type { WasmSource } from "./raw.js";
export type {
  AnswerEvents,
  AnswerPart,
  AnswerPayload,
  BaseEvents,
  BaseOptions,
  ClientEvents,
  ClientStream,
  CloseInfo,
  ConnectOptions,
  Credential,
  EventMap,
  EventMapOf,
  Frame,
  HistoryOptions,
  HistoryPage,
  Message,
  Position,
  Publication,
  ReceiveEvent,
  ReceivePayload,
  SendChange,
  SendEvent,
  SendOptions,
  SendPayload,
  SendState,
  SessionChange,
  SessionEvents,
  State,
  StateChange,
  StreamEvent,
  StreamOptions,
  StreamPayload,
  SubscribeOptions,
  Subscribed,
  Subscription,
  TokenProvider,
  TokenReason,
  TokenRequest,
  TopicNews,
} from "./types.js";
