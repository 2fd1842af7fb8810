// Speaks the suite's testee protocol (CERTIFY_CLIENT.md) for the npm package, wherever that runs: one client for each run.

import { ExistingRun } from "./existing.js";

/** The options that a client is made with, as the suite names them. */
const OPTIONS = [
  "backoff_base_ms",
  "backoff_cap_ms",
  "backoff_first_ms",
  "close_deadline_ms",
  "connect_timeout_ms",
  "hello_in_upgrade",
  "queue_age_ms",
  "queue_bytes",
  "queue_messages",
];

/** The payload of an order: JSON, or bytes. */
function given({ payload, payload_base64 }) {
  return payload_base64 === undefined ? payload : Uint8Array.from(atob(payload_base64), (character) => character.charCodeAt(0));
}

/** A payload in a report. */
function told(payload) {
  return payload instanceof Uint8Array ? { payload_base64: btoa(String.fromCharCode(...payload)) } : { payload };
}

/** Why a send was given up, when the suite said so. */
const GIVEN_UP = new Error("given up");

/**
 * @param {object} readywire the package
 * @param {string} name
 * @param {(report: object) => void} report
 * @returns {(order: object) => void} takes orders
 */
export function serve({ connect, connectExisting }, name, report) {
  /** @type {Map<string, Run>} */
  const runs = new Map();
  report({
    on: "hello",
    name,
    version: "0.1.0",
    levels: ["resume", "answers", "topics", "refresh", "binary"],
    // A platform that fails the connection by itself tells nobody which subprotocol was selected, and a page is woken up
    // by its browser, for all runs at once.
    lacks: ["sees_subprotocol", "wake"],
    options: OPTIONS,
  });
  const begin = (order, tell) =>
    order.existing === undefined ? new Run(connect, order, tell) : new ExistingRun(connectExisting, order, tell);
  return (order) => {
    switch (order.op) {
      case "end":
        runs.get(order.run)?.end();
        runs.delete(order.run);
        break;
      case "connect":
        runs.set(order.run, begin(order, (on, rest) => report({ run: order.run, on, ...rest })));
        break;
      default:
        runs.get(order.run)?.take(order);
    }
  };
}

class Run {
  #report;
  #token;
  #closeDeadlineMs;
  #client = null;
  #ended = false;
  /** Orders that came before there was a client. */
  #waiting = [];
  /** What gives each send up. */
  #controllers = new Map();
  /** The send that is being given to the client, and by the client's own handles those that were. */
  #placing = null;
  #placed = new Map();
  /** Outcomes as events told them; promises have to say the same. */
  #told = new Map();
  #streams = new Map();
  #topics = new Map();

  constructor(connect, order, report) {
    this.#report = report;
    this.#token = order;
    const { options } = order;
    this.#closeDeadlineMs = options.close_deadline_ms;
    connect(order.url, {
      resolveWhen: "dialling",
      token: ({ reason }) => this.#provide(reason),
      helloInUpgrade: options.hello_in_upgrade,
      connectTimeoutMs: options.connect_timeout_ms,
      queue: { messages: options.queue_messages, bytes: options.queue_bytes, maxAgeMs: options.queue_age_ms },
      backoff: { firstMs: options.backoff_first_ms, baseMs: options.backoff_base_ms, capMs: options.backoff_cap_ms },
      onstatechange: ({ state, pending, impaired, attempt, code }) =>
        report("state", { state, pending, impaired, attempt, code }),
      onmessage: ({ event, payload, offset }) => report("message", { event, ...told(payload), offset }),
      onsendstate: (change) => this.#changed(change),
      // What a page would log: the suite looks for tokens in it.
      onframe: ({ text }) => report("log", { text: text.slice(0, 2000) }),
    }).then(
      (client) => this.#begin(client),
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

  #begin(client) {
    this.#client = client;
    client.addEventListener("close", ({ detail: { code, reason, clause, stage, pending, retryable } }) =>
      this.#report("closed", { code, reason, clause, stage, pending, retryable }),
    );
    if (this.#ended) this.end();
    for (const order of this.#waiting.splice(0)) this.#obey(order);
  }

  #provide(reason) {
    this.#report("token", { reason });
    const { token, fail, final } = this.#token;
    if (token !== undefined) return token;
    if (fail !== undefined) throw Object.assign(new Error(fail), { retryable: final !== true });
    return new Promise(() => {});
  }

  #obey(order) {
    const { handle, event, topic } = order;
    const payload = given(order);
    switch (order.op) {
      case "send": {
        this.#placing = handle;
        const options = this.#options(order);
        const sent =
          topic === undefined
            ? this.#client.send(event, payload, options)
            : this.#client.publish(topic, event, payload, options);
        this.#placing = null;
        sent.then(
          () => this.#outcome(handle, "acknowledged", null),
          (error) => this.#failed(handle, error),
        );
        break;
      }
      case "stream": {
        const parts = this.#client.stream(event, payload, this.#options(order));
        this.#streams.set(handle, parts);
        if (order.read !== false) void this.#read(handle, parts);
        break;
      }
      case "request":
        this.#client.request(event, payload, this.#options(order)).then(
          (answer) => this.#report("answer", { handle, ...told(answer), end: true, error: null }),
          (error) => this.#failed(handle, error),
        );
        break;
      case "subscribe": {
        const from = order.offset === undefined ? undefined : { offset: order.offset, epoch: order.epoch };
        const subscription = this.#client.subscribe(topic, { from });
        this.#topics.set(handle, subscription);
        if (order.read !== false) void this.#follow(handle, subscription);
        break;
      }
      case "unsubscribe":
        void this.#topics.get(handle)?.return();
        break;
      case "read":
        if (this.#topics.has(handle)) void this.#follow(handle, this.#topics.get(handle));
        else void this.#read(handle, this.#streams.get(handle));
        break;
      case "cancel":
        void this.#streams.get(handle)?.return();
        break;
      case "abandon":
        this.#controllers.get(handle)?.abort(GIVEN_UP);
        break;
      case "close":
        void this.#client.close({ deadlineMs: this.#closeDeadlineMs });
        break;
      case "sync":
        this.#report("synced", {});
        break;
      default:
        this.#report("trouble", { why: `there is no order ${order.op}` });
    }
  }

  #options({ handle, policy, expire_after_ms, key }) {
    const controller = new AbortController();
    this.#controllers.set(handle, controller);
    return { policy, expireAfterMs: expire_after_ms, key, signal: controller.signal };
  }

  async #read(handle, parts) {
    try {
      for await (const { event, payload } of parts) this.#report("answer", { handle, event, ...told(payload), end: false });
      this.#report("answer", { handle, end: true, error: null });
    } catch (error) {
      this.#failed(handle, error);
    }
  }

  async #follow(handle, subscription) {
    try {
      for await (const news of subscription) {
        const { offset } = news;
        if (news.type === "subscribed") {
          this.#report("subscribed", { handle, offset, epoch: news.epoch, recovered: news.recovered });
        } else {
          this.#report("publication", { handle, offset, event: news.event, payload: news.payload });
        }
      }
    } catch (error) {
      if (error.name !== "SubscriptionError") return this.#trouble(error);
      this.#report("unsubscribed", { handle, code: error.code, retry: error.retryable });
    }
  }

  /** Events are in order with everything else that is told; what promises say comes a little later. */
  #changed({ handle, state, code, service }) {
    if (this.#placing !== null) {
      this.#placed.set(handle, this.#placing);
      this.#placing = null;
    }
    const ours = this.#placed.get(handle);
    if (ours === undefined || state === "queued" || state === "in_flight") return;
    if (state === "held") return this.#report("held", { handle: ours, service });
    this.#told.set(ours, state);
    this.#report("outcome", { handle: ours, outcome: state, code });
  }

  /** What a promise says. */
  #outcome(handle, outcome, code) {
    const told = this.#told.get(handle);
    if (told === undefined) this.#report("outcome", { handle, outcome, code });
    else if (told !== outcome) this.#trouble(`send ${handle}: the event says ${told}, and the promise ${outcome}`);
  }

  #failed(handle, error) {
    const outcome = (outcome, code) => this.#outcome(handle, outcome, code);
    if (error === GIVEN_UP) return outcome("refused", "withdrawn");
    switch (error.name) {
      case "RefusedError":
      case "NotReadyError":
      case "QueueFullError":
      case "ServiceImpairedError":
        return outcome("refused", error.code);
      case "ClosedError":
        return outcome("refused", "closed");
      case "ExpiredError":
        return outcome("expired", null);
      case "UnknownOutcomeError":
        return outcome("unknown", error.code);
      case "AnswerError":
        return this.#report("answer", { handle, end: true, error: error.code });
      default:
        this.#trouble(error);
    }
  }

  #trouble(error) {
    this.#report("trouble", { why: String(error?.stack ?? error) });
  }
}
