import { ReadywireError, closedError } from "./errors.js";
import { BUFFER_LIMIT, BufferedIterator } from "./iterators.js";
import type { CloseInfo, State } from "./types.js";

/** What comes unasked, on its way to whoever listens. */
export class Inbound<T> {
  readonly #readers = new Set<BufferedIterator<T>>();
  readonly #tell: (message: T) => void;
  /** What came before anyone listened; null once someone does. */
  #early: T[] | null;
  #end: CloseInfo | null = null;

  /** `tell` is called for each message that somebody may hear; if nobody listens yet, the first are held. */
  constructor(listens: boolean, tell: (message: T) => void) {
    this.#early = listens ? null : [];
    this.#tell = tell;
  }

  /** Somebody listens from now on: gives what was held. */
  takeEarly(): T[] {
    const early = this.#early ?? [];
    this.#early = null;
    return early;
  }

  /** A reader of what comes from now on, and of what was held. */
  read(): BufferedIterator<T> {
    const reader: BufferedIterator<T> = new BufferedIterator(() => this.#readers.delete(reader));
    for (const message of this.takeEarly()) reader.push(message);
    if (this.#end === null) this.#readers.add(reader);
    else endReader(reader, this.#end);
    return reader;
  }

  /** Hands a message on. A reader that is too far behind fails alone; its error names the stage. */
  deliver(message: T, stage: State): void {
    if (this.#early !== null) {
      if (this.#early.length === BUFFER_LIMIT) this.#early.shift();
      this.#early.push(message);
      return;
    }
    this.#tell(message);
    for (const reader of this.#readers) {
      if (reader.push(message)) continue;
      this.#readers.delete(reader);
      reader.fail(
        new ReadywireError("messages were not read as fast as they came", {
          stage,
          code: "slow_consumer",
          retryable: true,
          remedy: "Call messages() again and read faster, or use onmessage.",
        }),
      );
    }
  }

  /** Nothing comes any more. */
  end(info: CloseInfo): void {
    this.#end = info;
    for (const reader of this.#readers) endReader(reader, info);
    this.#readers.clear();
  }
}

function endReader<T>(reader: BufferedIterator<T>, info: CloseInfo): void {
  if (info.code === 1000) reader.end();
  else reader.fail(closedError(info));
}
