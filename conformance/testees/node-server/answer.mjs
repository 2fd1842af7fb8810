// @ts-check
// What becomes of a send that was taken: its handler runs, and its answer ends exactly once.

import { TooLarge } from "./inbox.mjs";

/**
 * @typedef {(send: import("./frames.mjs").Send, answer: Answer) => Promise<void>} Handler
 * @typedef {import("./session.mjs").Session} Session
 */

/** What a handler throws to end its answer with an error. */
export class Failure extends Error {
  /** @param {string} code for a program @param {string} message for a person */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Runs the handler of a send; it starts before this returns.
 *
 * @param {Session} session
 * @param {import("./frames.mjs").Send} send
 * @param {Handler} handle
 */
export async function run(session, send, handle) {
  const answer = new Answer(session, send);
  session.running.add(answer);
  try {
    await handle(send, answer);
    await answer.end();
  } catch (error) {
    const { code, message } = failureOf(error);
    if (!answer.isOver) await answer.fail(code, message);
  }
  session.running.delete(answer);
}

export class Answer {
  #session;
  #send;
  #stop = new AbortController();
  #over = false;

  /** @param {Session} session @param {import("./frames.mjs").Send} send */
  constructor(session, send) {
    this.#session = session;
    this.#send = send;
    if (send.answer) session.answers.set(send.id, this);
  }

  /** Whose send it is. */
  get subject() {
    return this.#session.subject;
  }

  /** Fires when the work is for nothing. */
  get signal() {
    return this.#stop.signal;
  }

  /** Nothing more can be said: the answer has ended, or the session. */
  get isOver() {
    return this.#over || this.#session.ended.aborted;
  }

  /** @param {string} event @param {string} payload JSON text */
  async part(event, payload) {
    if (this.isOver || !this.#send.answer) return;
    await this.#session.inbox.append({ event, re: this.#send.id, payload });
  }

  /** The last part. @param {string} [event] @param {string} [payload] JSON text */
  async end(event, payload) {
    if (this.isOver) return;
    if (this.#send.answer) {
      const appended = this.#session.inbox.append({ event, re: this.#send.id, end: true, payload });
      this.#finish();
      await appended;
    } else {
      this.#finish();
    }
  }

  /**
   * The last part tells what went wrong, even if no answer was asked for.
   *
   * @param {string} code
   * @param {string} message
   */
  async fail(code, message) {
    if (this.isOver) return;
    this.#finish();
    if (!this.#send.answer && !this.#session.speaksAnswers) return;
    await this.#session.inbox.append({ re: this.#send.id, end: true, error: { code, message } });
  }

  cancel() {
    void this.fail("cancelled", "stopped on request");
    this.stop();
  }

  stop() {
    this.#stop.abort();
  }

  #finish() {
    this.#over = true;
    this.#session.answers.delete(this.#send.id);
  }
}

/** @param {unknown} error */
function failureOf(error) {
  if (error instanceof Failure) return error;
  if (error instanceof TooLarge) return new Failure("too_large", "the answer fits into no frame");
  return new Failure("failed", "an error of the server");
}
