// @ts-check
// A WebSocket that ends once, by `bye` and close frame, and that notices silence.

import { Violation } from "./frames.mjs";

/**
 * @typedef {object} Owner
 * @property {(data: Buffer, isBinary: boolean) => void} read gets each message; may throw a Violation
 * @property {(isFarewell: boolean) => void} ended is told once; true if the client said `bye` with 1000
 *
 * @typedef {{ heartbeat_interval_ms: number, heartbeat_timeout_ms: number }} Heartbeat
 */

export class Link {
  #socket;
  #heartbeat;
  #owner;
  #isOver = false;
  /** @type {NodeJS.Timeout | undefined} */
  #pinging;
  /** @type {NodeJS.Timeout | undefined} */
  #silence;
  /** @type {NodeJS.Timeout | undefined} */
  #closing;
  #pings = 0;
  /** @type {string | undefined} the nonce of the ping that has no pong yet */
  #unanswered;

  /**
   * @param {import("ws").WebSocket} socket
   * @param {Heartbeat} heartbeat
   * @param {Owner} owner
   */
  constructor(socket, heartbeat, owner) {
    this.#socket = socket;
    this.#heartbeat = heartbeat;
    this.#owner = owner;
    socket.on("message", (data, isBinary) => this.#read(/** @type {Buffer} */ (data), isBinary));
    socket.on("oversize", () => this.violated(new Violation("frame.size", "a message over the limit", 4413)));
    socket.on("error", () => {}); // its end follows, and is what counts
    socket.on("close", () => {
      this.#finish(false);
      clearTimeout(this.#closing);
    });
    this.#pinging = setInterval(() => this.#ping(), heartbeat.heartbeat_interval_ms);
  }

  get isOver() {
    return this.#isOver;
  }

  /** @param {object} frame */
  write(frame) {
    this.writeText(JSON.stringify(frame));
  }

  /** @param {string} text of a frame */
  writeText(text) {
    if (this.#isOver) return;
    this.#socket.send(text);
    if (this.#socket.bufferedAmount > MAX_BUFFERED) this.end(4209, "the client does not read");
  }

  /**
   * Ends the connection, once.
   *
   * @param {number} code
   * @param {string} reason
   * @param {string} [clause] that the client broke
   */
  end(code, reason, clause) {
    if (this.#isOver) return;
    this.#socket.send(JSON.stringify({ type: "bye", code, reason, clause }));
    this.#close(code, reason);
    this.#finish(false);
  }

  /** @param {Violation} violation */
  violated({ code, message, clause }) {
    this.end(code, message, clause);
  }

  /** The client ends the connection, which is answered by a close frame and nothing else. @param {number} code */
  farewell(code) {
    const isDefined = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
    const isFree = code >= 3000 && code <= 4999;
    this.#close(isDefined || isFree ? code : 1000, "");
    this.#finish(code === 1000);
  }

  /** @param {string} nonce */
  pong(nonce) {
    if (nonce !== this.#unanswered) return;
    this.#unanswered = undefined;
    clearTimeout(this.#silence);
  }

  /** Does something, and ends the connection if that finds a rule broken. @param {() => void} act */
  guard(act) {
    try {
      act();
    } catch (error) {
      if (error instanceof Violation) return this.violated(error);
      console.error(error);
      this.end(1011, "an error of the server");
    }
  }

  /** @param {Buffer} data @param {boolean} isBinary */
  #read(data, isBinary) {
    if (this.#isOver) return;
    if (this.#unanswered !== undefined) this.#awaitLife();
    this.guard(() => this.#owner.read(data, isBinary));
  }

  #ping() {
    if (this.#unanswered !== undefined) return;
    this.#unanswered = String(++this.#pings);
    this.write({ type: "ping", nonce: this.#unanswered });
    this.#awaitLife();
  }

  #awaitLife() {
    clearTimeout(this.#silence);
    const ms = this.#heartbeat.heartbeat_timeout_ms;
    this.#silence = setTimeout(() => this.end(4203, "nothing came behind a ping"), ms);
  }

  /** @param {number} code @param {string} reason */
  #close(code, reason) {
    this.#socket.close(code, cut(reason));
    this.#closing = setTimeout(() => this.#socket.terminate(), CLOSE_TIMEOUT_MS);
  }

  /** @param {boolean} isFarewell */
  #finish(isFarewell) {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#pinging);
    clearTimeout(this.#silence);
    this.#owner.ended(isFarewell);
  }
}

const CLOSE_TIMEOUT_MS = 1000;
const MAX_BUFFERED = 16 * 1024 * 1024;
const MAX_REASON_BYTES = 123;

/** The start of a reason that fits into a close frame. @param {string} reason */
function cut(reason) {
  const characters = [...reason];
  while (Buffer.byteLength(characters.join("")) > MAX_REASON_BYTES) characters.pop();
  return characters.join("");
}
