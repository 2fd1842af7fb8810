// @ts-check
// One connection, from its upgrade to its end: the stages, the gate, the sends and their acks.

import { randomUUID } from "node:crypto";
import { run } from "./answer.mjs";
import { readFrame, Violation } from "./frames.mjs";
import { MAX_MESSAGE_BYTES, messageText } from "./inbox.mjs";
import { Link } from "./link.mjs";
import { Preauth } from "./preauth.mjs";
import { Session } from "./session.mjs";

/**
 * @typedef {import("./server.mjs").ReadywireServer} ReadywireServer
 * @typedef {import("./frames.mjs").Hello} Hello
 * @typedef {import("./frames.mjs").Send} Send
 *
 * @typedef {object} Upgrade what the request for it said
 * @property {import("node:net").Socket} source the bytes behind the WebSocket
 * @property {boolean} speaksReadywire
 * @property {Buffer | Violation | undefined} hello the text of the frame, or what was wrong with its entry
 * @property {import("./server.mjs").Credential | undefined} credential
 */

export class Connection {
  id = randomUUID();
  isAuthenticated = false;

  #server;
  #link;
  #preauth;
  #upgrade;
  #acceptedAt = performance.now();
  /** The last stage said, or READY. */
  #stage = "ACCEPTED";
  /** @type {Hello | undefined} */
  #hello;
  #subject = "";
  /** @type {number | undefined} when the token ends, by `Date.now()` */
  #expiresAt;
  /** @type {import("./startup.mjs").Startup | undefined} */
  #startup;
  /** @type {string[]} topics that the client asked for before `ready` */
  #subscribed = [];
  /** @type {Set<string>} levels agreed on */
  #levels = new Set();
  /** @type {Session} */
  #session;
  /** Everything up to this id is decided, and the client was told so. */
  #acked = 0;
  #unacked = { messages: 0, bytes: 0 };
  /** @type {Record<string, NodeJS.Timeout>} */
  #timers = {};

  /**
   * @param {ReadywireServer} server
   * @param {import("ws").WebSocket} socket
   * @param {Upgrade} upgrade
   */
  constructor(server, socket, upgrade) {
    this.#server = server;
    this.#upgrade = upgrade;
    this.#session = new Session("", 0);
    this.#session.attach(this);
    this.#link = new Link(socket, server.settings, {
      read: (data, isBinary) => this.#read(data, isBinary),
      ended: (isFarewell) => this.#ended(isFarewell),
    });
    this.#preauth = new Preauth(upgrade.source, (violation) => this.#link.violated(violation));
  }

  /** Takes the connection in. */
  open() {
    const { settings } = this.#server;
    this.#link.write({ type: "stage", stage: "ACCEPTED", connection: this.id });
    this.#after("hello", settings.hello_timeout_ms, () => this.end(4208, "no hello came in time"));
    this.#after("ready", settings.ready_timeout_ms, () => this.end(4201, this.#whatIsMissing()));
    const { speaksReadywire, hello } = this.#upgrade;
    this.#link.guard(() => {
      if (!speaksReadywire) throw new Violation("upgrade.subprotocol", "readywire.v1 was not offered first", 4006);
      if (hello instanceof Violation) throw hello;
      if (hello) this.#readHello(hello);
    });
  }

  /** @param {number} code @param {string} reason */
  end(code, reason) {
    this.#link.end(code, reason);
  }

  /** A later connection has the session. */
  supersede() {
    this.end(4013, "a later attempt has the session");
  }

  /** The set of impaired services has changed. */
  tellImpaired() {
    if (this.#stage !== "READY") return;
    const impaired = this.#impaired();
    if (!impaired) return this.#link.write({ type: "stage", stage: "PROCESSING_READY" });
    this.#link.write({ type: "stage", stage: "DEGRADED", impaired, reason: `impaired: ${impaired.join(", ")}` });
  }

  /** The server goes away. @param {number} deadline */
  drain(deadline) {
    if (this.#stage !== "READY") return this.end(4301, "the server is going away");
    this.#link.write({ type: "drain", deadline_ms: deadline, reconnect_after_ms: [0, deadline] });
  }

  /** @param {Buffer} data @param {boolean} isBinary */
  #read(data, isBinary) {
    if (!this.isAuthenticated) this.#preauth.count(data.length);
    if (isBinary) throw new Violation("frame.text", "a binary message", 4415);
    this.#take(readFrame(data));
  }

  /** @param {import("./frames.mjs").ClientFrame} frame */
  #take(frame) {
    switch (frame.type) {
      case "ping":
        return this.#link.write({ type: "pong", nonce: frame.nonce });
      case "pong":
        return this.#link.pong(frame.nonce);
      case "bye":
        return this.#link.farewell(frame.code);
      case "hello":
        return this.#greet(frame);
    }
    if (!this.#hello) throw new Violation("ready.gate", `${frame.type} before the hello`, 4401);
    switch (frame.type) {
      case "subscribe":
        return this.#subscribe(frame.topic);
      case "unsubscribe":
        return;
    }
    if (this.#stage !== "READY") throw new Violation("ready.gate", `${frame.type} before ready`, 4401);
    switch (frame.type) {
      case "send":
        return this.#send(frame);
      case "taken":
        this.#assertLevel("resume");
        this.#session.confirmToken();
        return this.#session.inbox.take(frame.offset);
      case "cancel":
        this.#assertLevel("answers");
        this.#session.confirmToken();
        return this.#session.answers.get(frame.re)?.cancel();
      default:
        return this.#assertLevel("refresh");
    }
  }

  // The stages, up to `ready`.

  /** @param {Buffer} text */
  #readHello(text) {
    const frame = readFrame(text);
    if (frame.type !== "hello") throw new Violation("hello.first", "the upgrade holds another frame");
    this.#greet(frame);
  }

  /** @param {Hello} hello */
  #greet(hello) {
    if (this.#hello) throw new Violation("hello.once", "a second hello", 4409);
    this.#hello = hello;
    clearTimeout(this.#timers.hello);
    this.#levels = agree(hello.capabilities, this.#server.settings.levels);
    const attempt = this.#levels.has("resume") ? (hello.resume?.attempt ?? 0) : 0;
    const { auth } = hello;
    const credential = auth ? { scheme: "bearer", ...auth } : this.#upgrade.credential;
    this.#server.authenticate(credential, attempt).then(
      (identity) => this.#link.guard(() => this.#authenticated(identity)),
      (error) => this.#link.guard(() => {
        throw error;
      }),
    );
  }

  /** @param {import("./server.mjs").Identity | import("./server.mjs").TokenRefusal} identity */
  #authenticated(identity) {
    if (this.#link.isOver) return;
    if ("code" in identity) return this.end(identity.code, identity.reason);
    this.isAuthenticated = true;
    this.#preauth.stop();
    this.#subject = identity.subject;
    this.#expiresAt = identity.expiresAt;
    this.#awaitExpiry();
    if (this.#link.isOver) return;
    this.#link.write({ type: "stage", stage: "AUTHENTICATED" });
    this.#stage = "AUTHENTICATED";
    this.#startup = this.#server.startup(identity.subject);
    this.#startup.watch(this, () => this.#link.guard(() => this.#progress()));
    this.#progress();
  }

  /** A service of the start-up has come up, or failed. */
  #progress() {
    const { pending, failed } = /** @type {import("./startup.mjs").Startup} */ (this.#startup);
    if (failed) return this.end(4202, `${failed} could not start`);
    if (pending.size > 0) {
      const left = this.#server.settings.ready_timeout_ms - (performance.now() - this.#acceptedAt);
      const deadline = Math.max(0, Math.floor(left));
      return this.#link.write({ type: "stage", stage: "AUTHENTICATED", pending: [...pending], deadline_ms: deadline });
    }
    this.#startup?.forget(this);
    this.#link.write({ type: "stage", stage: "SERVICES_READY" });
    this.#stage = "SERVICES_READY";
    this.#bind(/** @type {Hello} */ (this.#hello));
  }

  /** Binds the session, says `ready`, and from the next frame on processes: nothing here waits. @param {Hello} hello */
  #bind(hello) {
    const asked = this.#levels.has("resume") ? hello.resume : undefined;
    const found = asked && this.#server.sessions.find(this.#subject, asked);
    if (asked && found && asked.attempt < found.attempt) return this.supersede();

    const isResumed = asked !== undefined && found !== undefined && this.#resume(found, asked);
    if (!isResumed && this.#levels.has("resume")) {
      const created = this.#server.sessions.create(this.#subject);
      if (!created) return this.end(4229, "the subject has too many sessions");
      this.#session = created;
      this.#session.attach(this);
    }
    this.#session.speaksAnswers = this.#levels.has("answers");
    this.#acked = this.#session.received;
    clearTimeout(this.#timers.ready);
    this.#stage = "READY";
    this.#ready(isResumed);
    for (const topic of this.#subscribed.splice(0)) this.#subscribe(topic);
    if (this.#levels.has("resume")) this.#openInbox(hello.window);
  }

  /** @param {Session} session @param {import("./frames.mjs").Resume} asked @returns {boolean} whether it goes on */
  #resume(session, { attempt, settled = 0, inbox = 0 }) {
    if (!session.inbox.reaches(inbox)) return false;
    session.attempt = attempt;
    session.inbox.disconnect(); // what is dropped now makes room, but not for the former connection
    session.settle(settled);
    session.inbox.drop(inbox);
    session.attach(this);
    if (session.ended.aborted) return false;
    this.#session = session;
    return true;
  }

  /** @param {boolean} isResumed */
  #ready(isResumed) {
    const session = this.#session;
    const asked = this.#hello?.resume;
    const { settings } = this.#server;
    this.#link.write({
      type: "ready",
      ...(this.#levels.has("resume") && {
        session: {
          id: session.id,
          token: session.newToken(isResumed ? asked?.token : undefined),
          ttl_ms: settings.session_ttl_ms,
          resumed: isResumed,
          lost_because: asked && !isResumed ? "not_found" : undefined,
          subject: this.#subject,
          durability: "process",
        },
        received: session.received,
        refused: session.refused,
      }),
      impaired: this.#impaired(),
      limits: {
        max_message_bytes: MAX_MESSAGE_BYTES,
        max_in_flight: MAX_IN_FLIGHT,
        max_in_flight_bytes: MAX_IN_FLIGHT_BYTES,
      },
      heartbeat: { interval_ms: settings.heartbeat_interval_ms, timeout_ms: settings.heartbeat_timeout_ms },
      auth: this.#expiresAt === undefined ? undefined : { expires_in_ms: Math.max(0, this.#expiresAt - Date.now()) },
      capabilities: [...this.#levels],
    });
  }

  // After `ready`.

  /** @param {import("./inbox.mjs").Window} [window] */
  #openInbox(window = { messages: 256, bytes: 1024 * 1024 }) {
    const speaksAnswers = this.#levels.has("answers");
    this.#session.inbox.connect(window, (offset, message) => {
      const { event, payload } = message;
      this.#link.writeText(messageText(offset, speaksAnswers ? message : { event, payload }));
    });
  }

  /** @param {Send} send */
  #send(send) {
    const speaksResume = this.#levels.has("resume");
    const session = this.#session;
    const key = speaksResume ? send.key : undefined;
    if (send.id === 0) throw new Violation("send.id_increasing", "ids are positive");
    if (key !== undefined && Buffer.byteLength(key) > 64) throw new Violation("send.key", "longer than 64 bytes");
    if (send.id <= session.received) return this.#again(send.id);
    session.confirmToken();
    send.answer &&= this.#levels.has("answers");

    const decision = this.#server.decide(this.#subject, send, key, session.running.size);
    session.received = send.id;
    if (typeof decision === "function") {
      void run(session, send, decision);
    } else {
      session.refuse({ id: send.id, ...decision }, MAX_IN_FLIGHT);
      this.#link.write({ type: "nack", id: send.id, ...decision });
    }
    this.#decided(Buffer.byteLength(send.payload ?? ""));
  }

  /** A send that was decided before is answered as it was then. @param {number} id */
  #again(id) {
    if (!this.#levels.has("resume") || id > this.#acked) {
      throw new Violation("send.id_increasing", "an id that is not above the last");
    }
    this.#session.confirmToken();
    const refusal = this.#session.refused.find((refused) => refused.id === id);
    this.#link.write(refusal ? { type: "nack", ...refusal } : { type: "ack", id });
  }

  /** Acknowledges soon, or now if half of the window waits for it: so more than a window is never in flight. */
  #decided(/** @type {number} */ bytes) {
    this.#unacked.messages++;
    this.#unacked.bytes += bytes;
    const isHalf = this.#unacked.messages >= MAX_IN_FLIGHT / 2 || this.#unacked.bytes >= MAX_IN_FLIGHT_BYTES / 2;
    if (isHalf) this.#ack();
    else if (this.#unacked.messages === 1) this.#after("ack", ACK_DELAY_MS, () => this.#ack());
  }

  #ack() {
    clearTimeout(this.#timers.ack);
    this.#unacked = { messages: 0, bytes: 0 };
    this.#acked = this.#session.received;
    this.#link.write({ type: "ack", id: this.#acked });
  }

  /** No topic is served here; before `ready` the answer waits. @param {string} topic */
  #subscribe(topic) {
    if (this.#stage === "READY") return this.#link.write({ type: "unsubscribed", topic, code: "unsupported" });
    if (this.#subscribed.push(topic) <= MAX_EARLY_SUBSCRIPTIONS) return;
    this.#link.end(4229, "too many subscriptions before ready", "preauth.limits");
  }

  /** @param {string} level */
  #assertLevel(level) {
    if (!this.#levels.has(level)) throw new Violation("frame.level", `${level} was not agreed on`);
  }

  /** @returns {string[] | undefined} undefined if all services work */
  #impaired() {
    return this.#server.impaired.size > 0 ? [...this.#server.impaired] : undefined;
  }

  #awaitExpiry() {
    if (this.#expiresAt === undefined) return;
    const left = this.#expiresAt - Date.now();
    if (left <= 0) return this.end(4102, "the token has expired: ask for a new one");
    this.#after("expiry", Math.min(left, LONGEST_TIMER_MS), () => this.#awaitExpiry());
  }

  /** @param {string} name @param {number} ms @param {() => void} act */
  #after(name, ms, act) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(act, ms);
  }

  #whatIsMissing() {
    const pending = this.#startup ? [...this.#startup.pending] : [];
    return `not ready in time: ${this.#stage} is confirmed, pending: ${pending.join(", ") || "nothing"}`;
  }

  /** @param {boolean} isFarewell the client has ended its session, too */
  #ended(isFarewell) {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#preauth.stop();
    this.#startup?.forget(this);
    if (isFarewell || !this.#levels.has("resume")) this.#session.leave(this);
    else this.#session.detach(this);
    this.#server.forget(this);
  }
}

const MAX_EARLY_SUBSCRIPTIONS = 256;
const MAX_IN_FLIGHT = 64;
const MAX_IN_FLIGHT_BYTES = 1024 * 1024;
const ACK_DELAY_MS = 20;
/** What a timer of Node.js can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * The levels that both sides speak, with those that they need.
 *
 * @param {string[]} offered
 * @param {string[]} spoken
 */
function agree(offered = [], spoken = []) {
  const both = new Set(spoken.filter((level) => offered.includes(level)));
  if (!both.has("resume")) both.delete("answers");
  return both;
}
