// What the core entries export, beside their `connect`.

export {
  AnswerError,
  ClosedError,
  ConnectError,
  ExpiredError,
  NotReadyError,
  QueueFullError,
  ReadywireError,
  RefusedError,
  ServiceImpairedError,
  UnknownOutcomeError,
} from "../errors.js";
export type { TypedEventTarget, TypedListener } from "../events.js";
export type { WasmSource } from "../raw.js";
export type {
  AnswerPart,
  ClientEvents,
  CloseInfo,
  Credential,
  EventMap,
  EventMapOf,
  EventTypes,
  Frame,
  Message,
  ReceiveEvent,
  ReceivePayload,
  SendChange,
  SendEvent,
  SendOptions,
  SendPayload,
  SendState,
  SessionChange,
  State,
  StateChange,
  TokenProvider,
  TokenReason,
  TokenRequest,
} from "../types.js";
export type { Client, ConnectOptions } from "./types.js";
