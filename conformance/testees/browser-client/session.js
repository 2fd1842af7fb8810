// One client at a server that speaks the protocol.

import { Run, outcomeOf } from "./run.js";

export class SessionRun extends Run {
  /** The send that is being given to the client, and by the client's own handles those that were. */
  #placing = null;
  #placed = new Map();
  /** Outcomes as events told them; promises have to say the same. */
  #told = new Map();
  #streams = new Map();
  #topics = new Map();
  /** What answers each question that is open. */
  #questions = new Map();

  constructor(connect, order, report) {
    super(order, report);
    this.begin(
      connect(order.url, {
        ...this.options(order),
        token: ({ reason }) => this.provide(reason),
        helloInUpgrade: order.options.hello_in_upgrade,
        onmessage: ({ event, payload, offset }) => report("message", { event, ...told(payload), offset }),
        onsendstate: (change) => this.#changed(change),
        // What a page would log: the suite looks for tokens in it.
        onframe: ({ text }) => report("log", { text: text.slice(0, 2000) }),
      }),
    );
  }

  obey(order) {
    const { handle, event, topic } = order;
    const payload = given(order);
    switch (order.op) {
      case "send": {
        this.#placing = handle;
        const options = this.sendOptions(order);
        const sent =
          topic === undefined
            ? this.client.send(event, payload, options)
            : this.client.publish(topic, event, payload, options);
        this.#placing = null;
        sent.then(
          () => this.#outcome(handle, "acknowledged", null),
          (error) => this.#failed(handle, error),
        );
        break;
      }
      case "stream": {
        const parts = this.client.stream(event, payload, this.sendOptions(order));
        this.#streams.set(handle, parts);
        if (order.read !== false) void this.#read(handle, parts);
        break;
      }
      case "open": {
        const stream = this.client.openStream(event, payload, this.sendOptions(order));
        this.#streams.set(handle, stream);
        if (order.read !== false) void this.#read(handle, stream);
        break;
      }
      case "write":
        this.#part(handle, () => this.#streams.get(order.stream).write(payload));
        break;
      case "finish":
        this.#part(handle, () => this.#streams.get(order.stream).end());
        break;
      case "request":
        this.client.request(event, payload, this.sendOptions(order)).then(
          (answer) => this.report("answer", { handle, ...told(answer), end: true, error: null }),
          (error) => this.#failed(handle, error),
        );
        break;
      case "questions":
        this.client.answer(event, (asked, { offset, signal }) => this.#asked(event, asked, offset, signal));
        break;
      case "reply": {
        const { resolve, reject } = this.#questions.get(order.question);
        if (order.error === undefined) resolve(payload);
        else reject(Object.assign(new Error(order.error.message), { code: order.error.code }));
        break;
      }
      case "subscribe": {
        const from = order.offset === undefined ? undefined : { offset: order.offset, epoch: order.epoch };
        const subscription = this.client.subscribe(topic, { from, last: order.last });
        this.#topics.set(handle, subscription);
        if (order.read !== false) void this.#follow(handle, subscription);
        break;
      }
      case "history": {
        const before = order.before === undefined ? undefined : { offset: order.before, epoch: order.epoch };
        this.client.history(topic, { limit: order.limit, before }).then(
          ({ publications, epoch, head, more }) => {
            const parts = publications.map(({ event, offset, payload }) => ({ event, offset, ...told(payload) }));
            this.report("page", { handle, publications: parts, epoch, head, more });
          },
          (error) => {
            if (error.name !== "HistoryError") return this.trouble(error);
            this.report("page", { handle, code: error.code, retry: error.retryable });
          },
        );
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
      default:
        super.obey(order);
    }
  }

  /** Places a part, or the end. What becomes of it later events tell. */
  #part(handle, place) {
    this.#placing = handle;
    const placed = place();
    this.#placing = null;
    placed.catch((error) => this.#failed(handle, error));
  }

  /** Tells the question, and lets the suite answer it. */
  #asked(event, payload, question, signal) {
    signal.onabort = () => this.report("withdrawn", { question });
    this.report("question", { question, event, ...told(payload) });
    return new Promise((resolve, reject) => this.#questions.set(question, { resolve, reject }));
  }

  async #read(handle, parts) {
    try {
      for await (const { event, payload } of parts) this.report("answer", { handle, event, ...told(payload), end: false });
      this.report("answer", { handle, end: true, error: null });
    } catch (error) {
      this.#failed(handle, error);
    }
  }

  async #follow(handle, subscription) {
    try {
      for await (const news of subscription) {
        const { offset } = news;
        if (news.type === "subscribed") {
          this.report("subscribed", { handle, offset, epoch: news.epoch, recovered: news.recovered });
        } else {
          this.report("publication", { handle, offset, event: news.event, ...told(news.payload) });
        }
      }
    } catch (error) {
      if (error.name !== "SubscriptionError") return this.trouble(error);
      this.report("unsubscribed", { handle, code: error.code, retry: error.retryable });
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
    if (state === "held") return this.report("held", { handle: ours, service });
    this.#told.set(ours, state);
    this.report("outcome", { handle: ours, outcome: state, code });
  }

  /** What a promise says. */
  #outcome(handle, outcome, code) {
    const told = this.#told.get(handle);
    if (told === undefined) this.report("outcome", { handle, outcome, code });
    else if (told !== outcome) this.trouble(`send ${handle}: the event says ${told}, and the promise ${outcome}`);
  }

  #failed(handle, error) {
    const found = outcomeOf(error);
    if (found !== null) this.#outcome(handle, ...found);
    else if (error.name === "AnswerError") this.report("answer", { handle, end: true, error: error.code });
    else this.trouble(error);
  }
}

/** The payload of an order: JSON, or bytes. */
function given({ payload, payload_base64 }) {
  return payload_base64 === undefined ? payload : Uint8Array.from(atob(payload_base64), (character) => character.charCodeAt(0));
}

/** A payload in a report. */
function told(payload) {
  return payload instanceof Uint8Array ? { payload_base64: btoa(String.fromCharCode(...payload)) } : { payload };
}
