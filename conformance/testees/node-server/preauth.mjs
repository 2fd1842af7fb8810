// @ts-check
// What a client may write before the server knows who it is.

import { Violation } from "./frames.mjs";

export class Preauth {
  #source;
  #onTooMuch;
  #frames = 0;
  #bytes = 0;
  #rawBytes = 0;

  /**
   * @param {import("node:net").Socket} source the bytes of the WebSocket: a message that never ends counts, too
   * @param {(violation: Violation) => void} onTooMuch
   */
  constructor(source, onTooMuch) {
    this.#source = source;
    this.#onTooMuch = onTooMuch;
    source.on("data", this.#countRaw);
  }

  /** @param {number} bytes of a message that is complete */
  count(bytes) {
    this.#frames++;
    this.#bytes += bytes;
    if (this.#frames > MAX_FRAMES || this.#bytes > MAX_BYTES) throw tooMuch();
  }

  /** The client is known, or gone. */
  stop() {
    this.#source.off("data", this.#countRaw);
  }

  /** @param {Buffer} chunk */
  #countRaw = (chunk) => {
    this.#rawBytes += chunk.length;
    if (this.#rawBytes > MAX_RAW_BYTES) this.#onTooMuch(tooMuch());
  };
}

const MAX_FRAMES = 32;
const MAX_BYTES = 16 * 1024;
/** WebSocket puts at most 14 bytes in front of a message that is not fragmented. */
const MAX_RAW_BYTES = MAX_BYTES + 14 * MAX_FRAMES;

const tooMuch = () => new Violation("preauth.limits", "too much before AUTHENTICATED", 4229);
