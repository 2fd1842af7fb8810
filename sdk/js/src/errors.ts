import type { CloseInfo, State } from "./types.js";

/** What every error of this package tells. */
export interface ErrorDetails {
  /** The last stage that was confirmed. */
  stage: State;
  /** For a program: a close code, the server's code or one of this package's own. */
  code?: string | number | null;
  /** The clause of PROTOCOL.md that was broken, if one was. */
  clause?: string | null;
  /** Whether the same may work later. */
  retryable?: boolean;
  /** What to do about it. */
  remedy?: string;
  cause?: unknown;
}

export class ReadywireError extends Error {
  override readonly name: string = "ReadywireError";
  /** The last stage that was confirmed. */
  readonly stage: State;
  /** For a program: a close code, the server's code or one of this package's own. */
  readonly code: string | number | null;
  /** The clause of PROTOCOL.md that was broken, if one was. */
  readonly clause: string | null;
  /** Whether the same may work later. */
  readonly retryable: boolean;
  /** What to do about it. */
  readonly remedy: string;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.stage = details.stage;
    this.code = details.code ?? null;
    this.clause = details.clause ?? null;
    this.retryable = details.retryable ?? false;
    this.remedy = details.remedy ?? "";
  }
}

/** The connection never became ready. */
export class ConnectError extends ReadywireError {
  override readonly name = "ConnectError";
  /** Services that were still starting. */
  readonly pending: string[];

  constructor(message: string, details: ErrorDetails & { pending?: string[] }) {
    super(message, details);
    this.pending = details.pending ?? [];
  }
}

/** The send was not taken, and never will be. */
export class RefusedError extends ReadywireError {
  override readonly name: string = "RefusedError";
  /** The server takes the same no sooner than in so long, if it has said so. */
  readonly retryAfterMs: number | null;

  constructor(message: string, details: ErrorDetails & { retryAfterMs?: number | null }) {
    super(message, details);
    this.retryAfterMs = details.retryAfterMs ?? null;
  }
}

/** The server is not ready, and the send was not to wait. */
export class NotReadyError extends RefusedError {
  override readonly name = "NotReadyError";
  /** Services that were still starting. */
  readonly pending: string[];

  constructor(message: string, details: ErrorDetails & { pending?: string[] }) {
    super(message, details);
    this.pending = details.pending ?? [];
  }
}

/**
 * A service that the send needs does not work. Only a send that was not to wait (`fail_fast`) ends so, or one that waited
 * and was refused again and again, or for too long.
 */
export class ServiceImpairedError extends RefusedError {
  override readonly name = "ServiceImpairedError";
  /** The service. */
  readonly service: string;

  constructor(message: string, details: ErrorDetails & { service: string }) {
    super(message, details);
    this.service = details.service;
  }
}

/** The queue of sends that wait for the server is full. */
export class QueueFullError extends RefusedError {
  override readonly name = "QueueFullError";
}

/** The send waited too long and was never written. */
export class ExpiredError extends ReadywireError {
  override readonly name = "ExpiredError";
}

/** The send was written, and nobody can tell what has become of it. */
export class UnknownOutcomeError extends ReadywireError {
  override readonly name = "UnknownOutcomeError";
  /** Its id on the wire. */
  readonly id: number | null;

  constructor(message: string, details: ErrorDetails & { id?: number | null }) {
    super(message, details);
    this.id = details.id ?? null;
  }
}

/** The answer ended with an error. */
export class AnswerError extends ReadywireError {
  override readonly name = "AnswerError";
}

/** A subscription was refused or revoked, or was not read as fast as it came. */
export class SubscriptionError extends ReadywireError {
  override readonly name = "SubscriptionError";
}

/** There is no page of what a topic has had: it was refused. */
export class HistoryError extends ReadywireError {
  override readonly name = "HistoryError";
}

/** The client is closed. */
export class ClosedError extends ReadywireError {
  override readonly name = "ClosedError";
}

/** The last stage and what it waited for, for a message to a person. */
export function describeStage(stage: State, pending: readonly string[]): string {
  return pending.length === 0 ? `last stage "${stage}"` : `last stage "${stage}", waiting for ${pending.join(", ")}`;
}

function describeClose(info: CloseInfo): string {
  const reason = [info.code, info.reason].filter((part) => part !== null && part !== "").join(" ");
  return reason === "" ? "" : ` (${reason})`;
}

export function connectError(info: CloseInfo): ConnectError {
  return new ConnectError(`not connected: ${describeStage(info.stage, info.pending)}${describeClose(info)}`, info);
}

export function closedError(info: CloseInfo): ClosedError {
  return new ClosedError(`the client is closed${describeClose(info)}`, info);
}

/** The error for a send whose outcome is `refused`. */
export function refusedError(
  event: string,
  details: ErrorDetails & {
    code: string;
    message: string;
    pending: string[];
    service: string | null;
    retryAfterMs?: number | null;
  },
): ReadywireError {
  const reason = details.message === "" ? details.code : details.message;
  const { service } = details;
  if (service !== null) {
    return new ServiceImpairedError(`"${event}" was refused: ${reason}`, {
      ...details,
      service,
      remedy: details.retryable
        ? `Send it again when ${service} works; without policy "fail_fast" it waits for that by itself.`
        : `Ask whoever runs the server about ${service}; the same would be refused again.`,
    });
  }
  switch (details.code) {
    case "queue_full":
      return new QueueFullError(`"${event}" was refused: ${reason}`, {
        ...details,
        retryable: true,
        remedy: "Wait for earlier sends to settle, or raise `queue` in the options of connect().",
      });
    case "not_ready":
      return notReadyError(event, details.stage, details.pending);
    case "closed":
      return new ClosedError(`"${event}" was not sent: the client is closed`, {
        ...details,
        remedy: "Connect again, then send.",
      });
    default:
      return new RefusedError(`"${event}" was refused: ${reason}`, {
        ...details,
        remedy: details.retryable ? "Send it again later." : "Change the message; the same would be refused again.",
      });
  }
}

export function notReadyError(event: string, stage: State, pending: string[]): NotReadyError {
  return new NotReadyError(`"${event}" was not sent: the server is not ready, ${describeStage(stage, pending)}`, {
    stage,
    pending,
    code: "not_ready",
    retryable: true,
    remedy: 'Wait for ready(), or use send(), which queues until then.',
  });
}

export function expiredError(event: string, stage: State): ExpiredError {
  return new ExpiredError(`"${event}" expired before it was written, ${describeStage(stage, [])}`, {
    stage,
    code: "expired",
    retryable: true,
    remedy: "Send it again if it still matters; it never left this client.",
  });
}

export function unknownError(
  event: string,
  stage: State,
  id: number | null,
  code: string,
  cause: unknown,
): UnknownOutcomeError {
  return new UnknownOutcomeError(`"${event}" was written, and its outcome is unknown (${code})`, {
    stage,
    id,
    code,
    cause,
    remedy: "Ask the server whether it happened, or send with a `key`, which may be repeated without doubling.",
  });
}

export function answerError(event: string, stage: State, error: { code: string; message: string }): AnswerError {
  const slow = error.code === "slow_consumer";
  return new AnswerError(`the answer to "${event}" failed: ${error.message || error.code}`, {
    stage,
    code: error.code,
    retryable: slow || error.code === "session_lost",
    remedy: slow ? "Read the answer as fast as it comes, or ask for less." : "Ask again if it still matters.",
  });
}

/** The error for a subscription that ended by itself. */
export function subscriptionError(
  topic: string,
  stage: State,
  end: { code: string; retry: boolean },
): SubscriptionError {
  return new SubscriptionError(`the subscription to "${topic}" ended: ${end.code}`, {
    stage,
    code: end.code,
    retryable: end.retry,
    remedy: SUBSCRIPTION_REMEDIES[end.code] ?? (end.retry ? "Subscribe again later." : "The same would be refused again."),
  });
}

/** The error for a page that was refused. */
export function historyError(topic: string, stage: State, { code, retry }: { code: string; retry: boolean }): HistoryError {
  return new HistoryError(`what "${topic}" has had cannot be read: ${code}`, {
    stage,
    code,
    retryable: retry,
    remedy: HISTORY_REMEDIES[code] ?? (retry ? "Ask again later." : "The same would be refused again."),
  });
}

const HISTORY_REMEDIES: Readonly<Record<string, string>> = {
  binary_not_agreed: "What was published is bytes, which this connection does not take.",
  invalid_limit: "A page has 1 to 256 publications.",
  subject_changed: "The token now belongs to somebody else: ask again if they are to read this topic.",
  too_many: "Wait for the pages that were asked for before.",
  unsupported: "This server has no topics.",
};

const SUBSCRIPTION_REMEDIES: Readonly<Record<string, string>> = {
  binary_not_agreed: "What was published is bytes, which this connection does not take.",
  already_subscribed: "Share the subscription that there is: a client has one for each topic.",
  closed: "Connect again, then subscribe.",
  subject_changed: "The token now belongs to somebody else: subscribe again if they are to follow this topic.",
  unsupported: "This server has no topics.",
};

export function slowConsumerError(topic: string, stage: State): SubscriptionError {
  return new SubscriptionError(`"${topic}" was not read as fast as it came`, {
    stage,
    code: "slow_consumer",
    retryable: true,
    remedy: "Subscribe again from the last offset that was read, and read faster.",
  });
}
