/** How many parts a stream holds for a consumer that is behind. */
export const BUFFER_LIMIT = 1024;

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** An async iterator that is fed from outside and holds a bounded number of values. */
export class BufferedIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #values: T[] = [];
  readonly #waiting: Waiting<T>[] = [];
  readonly #onLeave: () => void;
  #finished = false;
  #failure: { error: unknown } | null = null;

  /** `onLeave` is called when the consumer stops early. */
  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  /** Whether nothing more is accepted. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Takes a value; false when there is no room. */
  push(value: T): boolean {
    if (this.#finished) return true;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ value, done: false });
      return true;
    }
    if (this.#values.length >= BUFFER_LIMIT) return false;
    this.#values.push(value);
    return true;
  }

  /** Ends it once the consumer has read what is held. */
  end(): void {
    if (this.#finished) return;
    this.#finished = true;
    for (const waiting of this.#waiting.splice(0)) waiting.resolve({ value: undefined, done: true });
  }

  /** Fails it once the consumer has read what is held. */
  fail(error: unknown): void {
    if (this.#finished) return;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#failure = { error };
    else waiting.reject(error);
    this.end();
  }

  /** Fails it at once; what is held is dropped. */
  abort(error: unknown): void {
    if (this.#finished) return;
    this.#values.length = 0;
    this.fail(error);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#values.length > 0) return Promise.resolve({ value: this.#values.shift() as T, done: false });
    const failure = this.#failure;
    if (failure !== null) {
      this.#failure = null;
      return Promise.reject(failure.error);
    }
    if (this.#finished) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#leave();
    return Promise.resolve({ value: undefined, done: true });
  }

  throw(error?: unknown): Promise<IteratorResult<T, undefined>> {
    this.#leave();
    return Promise.reject(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #leave(): void {
    this.#values.length = 0;
    this.#failure = null;
    if (this.#finished) return;
    this.end();
    this.#onLeave();
  }
}
