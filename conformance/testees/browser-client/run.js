// One client for one run of the suite, whatever its server speaks.

/** Why a send was given up, when the suite said so. */
const GIVEN_UP = new Error("given up");

export class Run {
  #token;
  #closeDeadlineMs;
  #ended = false;
  /** Orders that came before there was a client. */
  #waiting = [];
  /** What gives each send up. */
  #controllers = new Map();
  client = null;

  constructor(order, report) {
    this.report = report;
    this.#token = order;
    this.#closeDeadlineMs = order.options.close_deadline_ms;
  }

  /** What every client is made with. */
  options({ options }) {
    return {
      resolveWhen: "dialling",
      connectTimeoutMs: options.connect_timeout_ms,
      queue: { messages: options.queue_messages, bytes: options.queue_bytes, maxAgeMs: options.queue_age_ms },
      backoff: { firstMs: options.backoff_first_ms, baseMs: options.backoff_base_ms, capMs: options.backoff_cap_ms },
      onstatechange: ({ state, pending, impaired = [], attempt, code }) =>
        this.report("state", { state, pending, impaired, attempt, code }),
      onclose: ({ code, reason, clause, stage, pending, retryable }) =>
        this.report("closed", { code, reason, clause, stage, pending, retryable }),
    };
  }

  begin(connecting) {
    connecting.then(
      (client) => {
        this.client = client;
        if (this.#ended) this.end();
        for (const order of this.#waiting.splice(0)) this.obey(order);
      },
      (error) => this.trouble(error),
    );
  }

  take(order) {
    if (order.op === "token") this.#token = order;
    else if (this.client === null && !(order.op === "sync" && this.#waiting.length === 0)) this.#waiting.push(order);
    else this.obey(order);
  }

  end() {
    this.#ended = true;
    void this.client?.close({ deadlineMs: 0 });
  }

  provide(reason) {
    this.report("token", { reason });
    const { token, fail, final } = this.#token;
    if (token !== undefined) return token;
    if (fail !== undefined) throw Object.assign(new Error(fail), { retryable: final !== true });
    return new Promise(() => {});
  }

  /** What is the same at every server. */
  obey({ op, handle }) {
    switch (op) {
      case "abandon":
        this.#controllers.get(handle)?.abort(GIVEN_UP);
        break;
      case "close":
        void this.client.close({ deadlineMs: this.#closeDeadlineMs });
        break;
      case "sync":
        this.report("synced", {});
        break;
      default:
        this.trouble(`there is no order ${op}`);
    }
  }

  sendOptions({ handle, policy, expire_after_ms, key }) {
    const controller = new AbortController();
    this.#controllers.set(handle, controller);
    return { policy, expireAfterMs: expire_after_ms, key, signal: controller.signal };
  }

  trouble(error) {
    this.report("trouble", { why: String(error?.stack ?? error) });
  }
}

/** What an error says of a send, and why; null if it says nothing of one. */
export function outcomeOf(error) {
  if (error === GIVEN_UP) return ["refused", "withdrawn"];
  switch (error.name) {
    case "RefusedError":
    case "NotReadyError":
    case "QueueFullError":
    case "ServiceImpairedError":
      return ["refused", error.code];
    case "ClosedError":
      return ["refused", "closed"];
    case "ExpiredError":
      return ["expired", null];
    case "UnknownOutcomeError":
      return ["unknown", error.code];
    default:
      return null;
  }
}
