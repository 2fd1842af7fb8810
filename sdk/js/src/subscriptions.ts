// Topics that are followed: what the engine tells of one, as its application reads it.

import { closedError, slowConsumerError, subscriptionError } from "./errors.js";
import { BufferedIterator } from "./iterators.js";
import type { RawTopicEvent } from "./raw.js";
import { decodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import type { Host, Owner } from "./sends.js";
import type { CloseInfo, EventMapOf, ReceiveEvent, SubscribeOptions, Subscription, TopicNews } from "./types.js";

/** What is told of topics under one handle. */
export interface TopicListener {
  readonly handle: number;
  /** The engine tells something; true if that was the last. */
  told(raw: RawTopicEvent, payload: Encoded | undefined): boolean;
  /** The client is closed. */
  close(info: CloseInfo): void;
}

/** What whoever listens to topics needs of its client. */
export interface TopicHost extends Host {
  /** Has this told what is told under its handle. */
  listen(listener: TopicListener): void;
}

/** Begins to follow a topic. */
export function subscribe<M extends EventMapOf<M>, K extends ReceiveEvent<M>>(
  host: TopicHost,
  topic: string,
  { from, last = 0, signal }: SubscribeOptions,
): Subscription<M, K> {
  const offset = from?.offset ?? -1;
  if (from !== undefined) checkWhole("from.offset", offset, 0);
  checkWhole("last", last, 0);
  const subscription = new TopicSubscription<M, K>(host, host.newHandle(), topic, signal);
  try {
    host.check(signal);
  } catch (error) {
    subscription.fail(error);
    return subscription;
  }
  host.listen(subscription);
  host.call((raw) => raw.subscribe(subscription.handle, topic, offset, from?.epoch, last));
  return subscription;
}

/** Throws unless it is a number of publications, or an offset. */
export function checkWhole(name: string, value: number, least: number): void {
  if (!(Number.isSafeInteger(value) && value >= least)) {
    throw new TypeError(`${name} must be a whole number, ${least} or above`);
  }
}

/** One topic of one client. */
class TopicSubscription<M extends EventMapOf<M>, K extends ReceiveEvent<M>>
  implements Subscription<M, K>, TopicListener
{
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

  told(raw: RawTopicEvent, payload: Encoded | undefined): boolean {
    switch (raw.type) {
      case "subscribed": {
        const { offset, head, epoch, recovered } = raw;
        this.#push({ type: "subscribed", offset, head, epoch, recovered });
        break;
      }
      case "publication": {
        const { offset, event } = raw;
        this.#push({ type: "publication", event, payload: decodePayload(payload), offset } as TopicNews<M, K>);
        break;
      }
      case "unsubscribed":
        if (raw.code === "") this.#news.end();
        else this.#news.fail(subscriptionError(this.topic, this.#owner.stage, raw));
        this.#release();
        return true;
    }
    return false;
  }

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
