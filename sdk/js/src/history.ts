// What a topic has had before, page by page.

import { closedError, historyError } from "./errors.js";
import { decodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import type { RawPageEvent, RawTopicEvent } from "./raw.js";
import { checkWhole } from "./subscriptions.js";
import type { TopicHost, TopicListener } from "./subscriptions.js";
import type { CloseInfo, EventMapOf, HistoryOptions, HistoryPage, Publication, ReceiveEvent } from "./types.js";

const DEFAULT_LIMIT = 50;

/** Asks for a page. */
export function history<M extends EventMapOf<M>, K extends ReceiveEvent<M>>(
  host: TopicHost,
  topic: string,
  options: HistoryOptions,
): Promise<HistoryPage<M, K>> {
  return new Promise((resolve, reject) => {
    const { limit = DEFAULT_LIMIT, before, signal } = options;
    const offset = before?.offset ?? -1;
    checkWhole("limit", limit, 1);
    if (before !== undefined) checkWhole("before.offset", offset, 0);
    host.check(signal);
    const wait = new PageWait<M, K>(host, topic, limit, signal, resolve, reject);
    host.listen(wait);
    host.call((raw) => raw.history(wait.handle, topic, limit, offset, before?.epoch));
  });
}

/** Whoever waits for one page. */
class PageWait<M extends EventMapOf<M>, K extends ReceiveEvent<M>> implements TopicListener {
  readonly handle: number;
  readonly #publications: Publication<M, K>[] = [];
  readonly #onAbort = (): void => {
    this.#settle(() => this.reject(this.signal?.reason));
    this.host.call((raw) => raw.cancel(this.handle));
  };

  constructor(
    private readonly host: TopicHost,
    private readonly topic: string,
    private readonly limit: number,
    private readonly signal: AbortSignal | undefined,
    private readonly resolve: (page: HistoryPage<M, K>) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    this.handle = host.newHandle();
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  told(raw: RawTopicEvent, payload: Encoded | undefined): boolean {
    switch (raw.type) {
      case "paged": {
        const { offset, event } = raw;
        const publication = { type: "publication", event, payload: decodePayload(payload), offset };
        this.#publications.push(publication as unknown as Publication<M, K>);
        return false;
      }
      case "page":
        this.#settle(() => this.resolve(this.#page(raw)));
        break;
      case "unsubscribed":
        this.#settle(() => this.reject(historyError(this.topic, this.host.stage, raw)));
        break;
    }
    return true;
  }

  close(info: CloseInfo): void {
    this.#settle(() => this.reject(closedError(info)));
  }

  #page({ epoch, head, more }: RawPageEvent): HistoryPage<M, K> {
    const { host, topic, limit } = this;
    const publications = this.#publications;
    const oldest = publications[0];
    return {
      publications,
      epoch,
      head,
      more,
      older: async ({ signal } = {}) => {
        if (!more || oldest === undefined) return null;
        return history<M, K>(host, topic, { limit, before: { offset: oldest.offset, epoch }, ...(signal && { signal }) });
      },
    };
  }

  #settle(settle: () => void): void {
    this.signal?.removeEventListener("abort", this.#onAbort);
    settle();
  }
}
