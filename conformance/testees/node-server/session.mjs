// @ts-check
// What outlives connections: ids, refusals, the inbox, the answers under way. Levels Resume and Answers.

import { createHash, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { Inbox } from "./inbox.mjs";

/**
 * @typedef {object} Refusal why a send is not taken
 * @property {string} code for a program
 * @property {string} [message] for a person
 * @property {boolean} [retry] whether the same may work later
 * @property {string} [service] the impaired service that it would have needed
 */

/** The sessions of all subjects, and the keys that their sends used up. */
export class Sessions {
  /** @type {Map<string, Session>} */
  #byId = new Map();
  /** @type {Map<string, number>} subject and key, and when it was used: oldest first */
  #keys = new Map();

  /** @param {{ session_ttl_ms: number, sessions_per_subject: number, key_memory_ms: number }} settings */
  constructor(settings) {
    this.settings = settings;
  }

  /**
   * A new session; undefined if the subject has too many and all of them are attached.
   *
   * @param {string} subject
   * @returns {Session | undefined}
   */
  create(subject) {
    const others = this.of(subject);
    if (others.length >= this.settings.sessions_per_subject) {
      const longest = others.reduce((a, b) => (a.detachedAt <= b.detachedAt ? a : b));
      if (longest.connection) return undefined;
      longest.end();
    }
    const session = new Session(subject, this.settings.session_ttl_ms);
    this.#byId.set(session.id, session);
    session.ended.addEventListener("abort", () => this.#byId.delete(session.id));
    return session;
  }

  /**
   * The session that a client asks for, if it proves that it is its own.
   *
   * @param {string} subject
   * @param {import("./frames.mjs").Resume} resume
   */
  find(subject, resume) {
    const session = this.#byId.get(resume.session);
    return session?.subject === subject && session.knows(resume.token) ? session : undefined;
  }

  /** @param {string} subject */
  of(subject) {
    return [...this.#byId.values()].filter((session) => session.subject === subject);
  }

  /** @param {string} subject @param {string} key */
  isKeyUsed(subject, key) {
    this.#forgetKeys();
    return this.#keys.has(JSON.stringify([subject, key]));
  }

  /** @param {string} subject @param {string} key */
  useKey(subject, key) {
    this.#keys.set(JSON.stringify([subject, key]), performance.now());
  }

  #forgetKeys() {
    const before = performance.now() - this.settings.key_memory_ms;
    for (const [key, used] of this.#keys) {
      if (used > before) return;
      this.#keys.delete(key);
    }
  }
}

export class Session {
  id = randomUUID();
  inbox = new Inbox();
  /** The highest id that is decided. */
  received = 0;
  /** The highest attempt that a client has connected with. */
  attempt = 0;
  /** @type {({ id: number } & Refusal)[]} in the order of their ids */
  refused = [];
  /** @type {Map<number, { cancel: () => void }>} the answers that have not ended, by the id of their send */
  answers = new Map();
  /** @type {Set<{ stop: () => void }>} the handlers that run, for an answer or not */
  running = new Set();
  /** Whether failures are told even where no answer was asked for. */
  speaksAnswers = false;
  /** @type {{ supersede: () => void } | undefined} the connection that has the session */
  connection = undefined;
  /** Since when no connection has it. */
  detachedAt = Infinity;

  #end = new AbortController();
  /** @type {Buffer[]} hashes of the tokens that are good, the latest last */
  #tokens = [];
  #ttl;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** The offset that was the first delivered and not taken when a connection ended, and how many in a row it was. */
  #suspect = { offset: 0, times: 0 };

  /** @param {string} subject @param {number} ttl */
  constructor(subject, ttl) {
    this.subject = subject;
    this.#ttl = ttl;
  }

  /** Fires when the session is over: from then on nothing is written for it. */
  get ended() {
    return this.#end.signal;
  }

  /**
   * Gives the session to a connection, in one step; the one that had it loses it, and with it perhaps the session ends.
   *
   * @param {{ supersede: () => void }} connection
   */
  attach(connection) {
    const former = this.connection;
    clearTimeout(this.#timer);
    this.connection = connection;
    this.detachedAt = Infinity;
    if (!former) return;
    former.supersede();
    this.#noteLoss();
  }

  /** Takes note that a connection has ended. @param {object} connection */
  detach(connection) {
    if (this.connection !== connection) return;
    this.connection = undefined;
    this.inbox.disconnect();
    this.detachedAt = performance.now();
    this.#timer = setTimeout(() => this.end(), this.#ttl);
    this.#noteLoss();
  }

  /** Ends the session, if the connection has it. @param {object} connection */
  leave(connection) {
    if (this.connection === connection) this.end();
  }

  end() {
    clearTimeout(this.#timer);
    this.connection = undefined;
    this.#end.abort();
    this.inbox.end();
    for (const handler of this.running) handler.stop();
  }

  /** @param {{ id: number } & Refusal} refusal @param {number} keep how many the client can still ask for */
  refuse(refusal, keep) {
    this.refused.push(refusal);
    if (this.refused.length > keep) this.refused.shift();
  }

  /** @param {number} id the outcome of everything up to it is known to the client */
  settle(id) {
    this.refused = this.refused.filter((refusal) => refusal.id > id);
  }

  /** @param {string} token */
  knows(token) {
    return this.#indexOf(token) >= 0;
  }

  /** Another token. The one that was presented stays good until the client shows that it has read this one. */
  newToken(presented = "") {
    const token = randomBytes(32).toString("base64url");
    this.#tokens = [...this.#tokens.slice(Math.max(this.#indexOf(presented), 0)), hash(token)].slice(-8);
    return token;
  }

  /** The client has read the latest token. */
  confirmToken() {
    this.#tokens = this.#tokens.slice(-1);
  }

  /** Ends the session if the same message seems to end one connection after the other. */
  #noteLoss() {
    const offset = this.inbox.firstNotTaken();
    const times = offset === this.#suspect.offset ? this.#suspect.times + 1 : 1;
    this.#suspect = offset === undefined ? { offset: 0, times: 0 } : { offset, times };
    if (this.#suspect.times === 3) this.end();
  }

  /** @param {string} token */
  #indexOf(token) {
    const presented = hash(token);
    return this.#tokens.reduce((found, good, index) => (timingSafeEqual(good, presented) ? index : found), -1);
  }
}

/** @param {string} token */
const hash = (token) => createHash("sha256").update(token).digest();
