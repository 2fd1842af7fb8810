// One client at a server that does not speak the protocol, as the suite then is.

export class ExistingRun {
  #report;
  #token;
  #closeDeadlineMs;
  #client = null;
  #ended = false;
  /** Orders that came before there was a client. */
  #waiting = [];
  #controllers = new Map();

  constructor(connectExisting, order, report) {
    this.#report = report;
    this.#token = order;
    const { existing, options } = order;
    this.#closeDeadlineMs = options.close_deadline_ms;
    connectExisting(order.url, {
      resolveWhen: "dialling",
      protocols: existing.protocols,
      opening: existing.opening ? async () => [JSON.stringify({ type: "init", token: await this.#provide() })] : undefined,
      readyWhen: existing.ready === undefined ? undefined : (text) => typeOf(text) === existing.ready,
      stopWhen: (code) => existing.stop?.includes(code) ?? false,
      connectTimeoutMs: options.connect_timeout_ms,
      queue: { messages: options.queue_messages, bytes: options.queue_bytes, maxAgeMs: options.queue_age_ms },
      backoff: { firstMs: options.backoff_first_ms, baseMs: options.backoff_base_ms, capMs: options.backoff_cap_ms },
      onstatechange: ({ state, pending, attempt, code }) => report("state", { state, pending, impaired: [], attempt, code }),
      onmessage: (text) => report("message", { text }),
      onclose: ({ code, reason, clause, stage, pending, retryable }) =>
        report("closed", { code, reason, clause, stage, pending, retryable }),
    }).then(
      (client) => {
        this.#client = client;
        if (this.#ended) this.end();
        for (const order of this.#waiting.splice(0)) this.#obey(order);
      },
      (error) => this.#trouble(error),
    );
  }

  take(order) {
    if (order.op === "token") this.#token = order;
    else if (this.#client === null && !(order.op === "sync" && this.#waiting.length === 0)) this.#waiting.push(order);
    else this.#obey(order);
  }

  end() {
    this.#ended = true;
    void this.#client?.close({ deadlineMs: 0 });
  }

  #provide() {
    this.#report("token", {});
    const { token, fail } = this.#token;
    if (token !== undefined) return token;
    if (fail !== undefined) throw new Error(fail);
    return new Promise(() => {});
  }

  #obey({ op, handle, text, policy, expire_after_ms }) {
    switch (op) {
      case "send": {
        const controller = new AbortController();
        this.#controllers.set(handle, controller);
        const outcome = (outcome, code = null) => this.#report("outcome", { handle, outcome, code });
        this.#client.send(text, { policy, expireAfterMs: expire_after_ms, signal: controller.signal }).then(
          ({ acknowledged }) => outcome(acknowledged ? "acknowledged" : "written"),
          (error) => {
            if (error.name === "ExpiredError") outcome("expired");
            else if (error.name === "UnknownOutcomeError") outcome("unknown", error.code);
            else if (controller.signal.aborted) outcome("refused", "withdrawn");
            else outcome("refused", error.name === "ClosedError" ? "closed" : error.code);
          },
        );
        break;
      }
      case "abandon":
        this.#controllers.get(handle)?.abort();
        break;
      case "close":
        void this.#client.close({ deadlineMs: this.#closeDeadlineMs });
        break;
      case "sync":
        this.#report("synced", {});
        break;
      default:
        this.#report("trouble", { why: `there is no order ${op}` });
    }
  }

  #trouble(error) {
    this.#report("trouble", { why: String(error?.stack ?? error) });
  }
}

function typeOf(text) {
  try {
    return JSON.parse(text).type;
  } catch {
    return undefined;
  }
}
