// @ts-check
// What a session is told, numbered without gaps and kept until the client has taken it.

import { Violation } from "./frames.mjs";

/**
 * @typedef {object} Message
 * @property {string} [event]
 * @property {string} [payload] JSON text, passed on as it is
 * @property {number} [re] the send that this answers
 * @property {boolean} [end]
 * @property {{ code: string, message: string }} [error]
 *
 * @typedef {{ offset: number, bytes: number, message: Message }} Entry
 * @typedef {{ message: Message, bytes: number, done: (appended: boolean) => void }} Waiting
 * @typedef {{ messages: number, bytes: number }} Window
 */

export const MAX_MESSAGE_BYTES = 1024 * 1024;

export class Inbox {
  /** The highest offset that the client holds: what lies above is kept. */
  taken = 0;

  /** @type {Entry[]} */
  #kept = [];
  #keptBytes = 0;
  /** The highest offset written on the connection of now, and on any. */
  #written = 0;
  #everWritten = 0;
  /** The bytes written on this connection and not taken. */
  #flyingBytes = 0;
  /** @type {Waiting[]} producers that wait for room */
  #waiting = [];
  /** @type {Window} */
  #window = { messages: 0, bytes: 0 };
  /** @type {((offset: number, message: Message) => void) | undefined} */
  #write;
  #ended = false;

  /**
   * Appends a message as soon as there is room, behind all that wait; false if the session has ended before. Throws at
   * once what never fits.
   *
   * @param {Message} message
   * @returns {Promise<boolean>}
   */
  append(message) {
    if (this.#ended) return Promise.resolve(false);
    if (Buffer.byteLength(messageText(Number.MAX_SAFE_INTEGER, message)) > MAX_MESSAGE_BYTES) throw new TooLarge();
    const bytes = Buffer.byteLength(message.payload ?? "null");
    return new Promise((done) => {
      this.#waiting.push({ message, bytes, done });
      this.#admit();
    });
  }

  /** @param {number} offset whether a client that holds everything up to it can go on here */
  reaches(offset) {
    return offset >= this.taken && offset <= this.taken + this.#kept.length;
  }

  /**
   * Begins anew behind what is taken.
   *
   * @param {Window} window
   * @param {(offset: number, message: Message) => void} write
   */
  connect(window, write) {
    this.#window = window;
    this.#write = write;
    this.#written = this.taken;
    this.#flyingBytes = 0;
    this.#flush();
  }

  disconnect() {
    this.#write = undefined;
  }

  /** @param {number} offset everything up to it is held by the client */
  take(offset) {
    if (offset > this.#everWritten) throw new Violation("inbox.taken", "above what was delivered");
    this.drop(offset);
  }

  /** @param {number} offset as `take`, and known to be in reach */
  drop(offset) {
    for (const { offset: dropped, bytes } of this.#kept.splice(0, Math.max(offset - this.taken, 0))) {
      this.#keptBytes -= bytes;
      if (dropped <= this.#written) this.#flyingBytes -= bytes;
    }
    this.taken = Math.max(this.taken, offset);
    this.#written = Math.max(this.#written, offset);
    this.#everWritten = Math.max(this.#everWritten, offset);
    this.#admit();
    this.#flush();
  }

  /** The first offset that was written on the latest connection and is not taken. */
  firstNotTaken() {
    return this.#written > this.taken ? this.taken + 1 : undefined;
  }

  end() {
    this.#ended = true;
    this.#write = undefined;
    this.#kept = [];
    for (const { done } of this.#waiting.splice(0)) done(false);
  }

  #admit() {
    while (this.#waiting.length > 0 && this.#hasRoom(this.#waiting[0].bytes)) {
      const { message, bytes, done } = /** @type {Waiting} */ (this.#waiting.shift());
      this.#kept.push({ offset: this.taken + this.#kept.length + 1, bytes, message });
      this.#keptBytes += bytes;
      done(true);
    }
    this.#flush();
  }

  /** @param {number} bytes */
  #hasRoom(bytes) {
    if (this.#kept.length === 0) return true;
    return this.#kept.length < MAX_MESSAGES && this.#keptBytes + bytes <= MAX_BYTES;
  }

  #flush() {
    while (this.#write) {
      const flying = this.#written - this.taken;
      const next = this.#kept[flying];
      if (!next) return;
      const fits = flying < this.#window.messages && this.#flyingBytes + next.bytes <= this.#window.bytes;
      if (!fits && flying > 0) return;
      this.#written = next.offset;
      this.#everWritten = Math.max(this.#everWritten, next.offset);
      this.#flyingBytes += next.bytes;
      this.#write(next.offset, next.message);
    }
  }
}

/** A message that fits into no frame. */
export class TooLarge extends Error {}

/** @param {number} offset @param {Message} message @returns {string} the text of its frame */
export function messageText(offset, { payload = "null", ...message }) {
  // The payload goes last, as text: whoever reads it shall find what was written.
  return `${JSON.stringify({ type: "message", offset, ...message }).slice(0, -1)},"payload":${payload}}`;
}

const MAX_MESSAGES = 4096;
const MAX_BYTES = 8 * 1024 * 1024;
