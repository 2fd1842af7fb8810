import type { BaseOptions, ConnectOptions, EventMapOf } from "./types.js";

/** What the engine takes up of a client that is gone. */
export interface CarriedEngine {
  /** As it told it in a `carried` event; null for nothing. */
  readonly state: string | null;
  /** Handle and id of each answer that goes on, one behind the other. */
  readonly answers: number[];
}

/** The options as the engine reads them: a JSON text of whole numbers, booleans and names, without what has its default. */
export function engineOptions<M extends EventMapOf<M>>(
  options: ConnectOptions<M>,
  carried: CarriedEngine | null = null,
): string {
  return JSON.stringify({
    helloAfterUpgrade: options.helloInUpgrade === false,
    ...waits(options),
    alternates: options.alternates,
    frames: options.onframe !== undefined,
    carries: carried !== null,
    carried: carried?.state ?? undefined,
    carriedAnswers: carried?.answers,
  });
}

/** How long and for how much it waits, at every server. */
export function waits({ queue, backoff, connectTimeoutMs }: BaseOptions): Record<string, number | undefined> {
  return {
    queueMessages: whole(queue?.messages),
    queueBytes: whole(queue?.bytes),
    queueMaxAgeMs: whole(queue?.maxAgeMs),
    backoffFirstMs: whole(backoff?.firstMs),
    backoffBaseMs: whole(backoff?.baseMs),
    backoffCapMs: whole(backoff?.capMs),
    connectTimeoutMs: whole(connectTimeoutMs),
  };
}

/** What is negative or no number counts as left out; infinity is the largest number that can be told. */
export function whole(value: number | undefined): number | undefined {
  return value !== undefined && value >= 0 ? Math.trunc(Math.min(value, Number.MAX_SAFE_INTEGER)) : undefined;
}
