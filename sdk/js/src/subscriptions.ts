// Topics that are followed: what the engine tells of one, as its application reads it.

import { closedError, slowConsumerError, subscriptionError } from "./errors.js";
import { BufferedIterator } from "./iterators.js";
import type { RawPublicationEvent, RawSubscribedEvent, RawUnsubscribedEvent } from "./raw.js";
import { decodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import type { Owner } from "./sends.js";
import type { CloseInfo, EventMapOf, ReceiveEvent, Subscription, TopicNews } from "./types.js";

/** One topic of one client. */
export class TopicSubscription<M extends EventMapOf<M>, K extends ReceiveEvent<M>> implements Subscription<M, K> {
  readonly #news = new BufferedIterator<TopicNews<M, K>>(() => this.#stop());
  readonly #onAbort = (): void => {
    this.#news.abort(this.#signal?.reason);
    this.#stop();
  };
  readonly #signal: AbortSignal | undefined;
  readonly #owner: Owner;

  constructor(
    owner: Owner,
    readonly handle: number,
    readonly topic: string,
    signal: AbortSignal | undefined,
  ) {
    this.#owner = owner;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  next(): Promise<IteratorResult<TopicNews<M, K>, undefined>> {
    return this.#news.next();
  }

  return(): Promise<IteratorResult<TopicNews<M, K>, undefined>> {
    return this.#news.return();
  }

  throw(error?: unknown): Promise<IteratorResult<TopicNews<M, K>, undefined>> {
    return this.#news.throw(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  unsubscribe(): void {
    this.#news.end();
    this.#stop();
  }

  subscribed(raw: RawSubscribedEvent): void {
    const { offset, head, epoch, recovered } = raw;
    this.#push({ type: "subscribed", offset, head, epoch, recovered });
  }

  published(raw: RawPublicationEvent, payload: Encoded | undefined): void {
    const { offset, event } = raw;
    this.#push({ type: "publication", event, payload: decodePayload(payload), offset } as TopicNews<M, K>);
  }

  unsubscribed(raw: RawUnsubscribedEvent): void {
    if (raw.code === "") this.#news.end();
    else this.#news.fail(subscriptionError(this.topic, this.#owner.stage, raw));
    this.#release();
  }

  /** The client is closed. */
  close(info: CloseInfo): void {
    if (info.code === 1000) this.#news.end();
    else this.#news.fail(closedError(info));
    this.#release();
  }

  /** Ends before it began. */
  fail(error: unknown): void {
    this.#news.abort(error);
    this.#release();
  }

  #push(news: TopicNews<M, K>): void {
    if (this.#news.push(news)) return;
    this.#news.fail(slowConsumerError(this.topic, this.#owner.stage));
    this.#stop();
  }

  #stop(): void {
    this.#release();
    this.#owner.call((raw) => raw.cancel(this.handle));
  }

  #release(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}
