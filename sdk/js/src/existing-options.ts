// How a server that does not speak the protocol is used.

import { waits, whole } from "./options.js";
import type { BaseEvents, BaseOptions, Frame, SendOptions } from "./types.js";

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

/** The events of such a client; what each carries is in `event.detail`. A `message` is each of the server, its ready one included. */
export type ExistingEvents<In, S extends string> = BaseEvents<In, ExistingStateChange<S>>;

/** How to use a server that does not speak the protocol. */
export interface UnconfirmedOptions<In = string, Out = string> extends BaseOptions {
  /** Its subprotocols; it has to select one of them. Default: none is offered. */
  protocols?: string[];
  /**
   * Asked before each attempt for the messages that the connection begins with, so that tokens are fresh. What a message is
   * says `encode`, not these few.
   */
  opening?: () => NoInfer<Out>[] | Promise<NoInfer<Out>[]>;
  /** Whether this end is for good. Default: never; the client comes back after each. */
  stopWhen?: (code: number, reason: string) => boolean;
  /** A message as text. Default: it is text. */
  encode?: (message: Out) => string;
  /** Text as a message. Default: the text itself. */
  decode?: (text: string) => In;
  /** As the events of the same names, but in place before anything can happen. */
  onmessage?: (message: In) => void;
  /** Every text of the connection, tokens and all, to look at. */
  onframe?: (frame: Frame) => void;
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

export type AnyOptions<In, Out> = ExistingOptions<In, Out> | UnconfirmedOptions<In, Out>;
/** What a send to such a server may say. */
export type ExistingSendOptions = Omit<SendOptions, "key">;

/** The options as the engine reads them. */
export function engineOptions<In, Out>(options: AnyOptions<In, Out>): string {
  const confirms = options.readyWhen !== undefined;
  return JSON.stringify({
    existing: true,
    confirms,
    protocols: options.protocols ?? [],
    ...waits(options),
    readyMessageTimeoutMs: confirms ? whole((options as ExistingOptions<In, Out>).readyMessageTimeoutMs) : undefined,
    frames: options.onframe !== undefined,
  });
}

/** A message as text. */
export function encode<In, Out>(options: AnyOptions<In, Out>, message: Out): string {
  const text: unknown = options.encode === undefined ? message : options.encode(message);
  if (typeof text !== "string") throw new TypeError("a message for an existing server is text: give `encode`, or a string");
  return text;
}

/** Text as a message. */
export function decode<In, Out>(options: AnyOptions<In, Out>, text: string): In {
  return options.decode === undefined ? (text as In) : options.decode(text);
}
