import type { RawClient } from "./raw.js";

/** The engine. It may report while it is being called; what that means to the application is told after, in order. */
export class Turns {
  /** Null before it is built and after it is freed. */
  #raw: RawClient | null = null;
  readonly #queue: (() => void)[] = [];
  readonly #crashed: (error: unknown) => void;
  #draining = false;
  #calls = 0;

  /** `crashed` is told when the engine throws. */
  constructor(crashed: (error: unknown) => void) {
    this.#crashed = crashed;
  }

  /** Builds the engine. */
  begin(build: () => RawClient): void {
    this.#calls++;
    try {
      this.#raw = build();
    } finally {
      this.#calls--;
    }
    // The application has no client yet, so it hears of the first events a little later.
    queueMicrotask(() => this.take());
  }

  /** Calls the engine, if it still runs. */
  call(action: (raw: RawClient) => void): void {
    if (this.#raw === null) return;
    this.#calls++;
    try {
      action(this.#raw);
    } catch (error) {
      this.#queue.push(() => this.#crashed(error));
    } finally {
      this.#calls--;
    }
    this.take();
  }

  /** Has its turn when somebody takes it. */
  queue(turn: () => void): void {
    this.#queue.push(turn);
  }

  /** Has its turn at once, or when what is under way is over. */
  tell(turn: () => void): void {
    this.#queue.push(turn);
    this.take();
  }

  /** Takes every turn, unless the engine is being called or somebody is at it. */
  take(): void {
    if (this.#draining || this.#calls > 0) return;
    this.#draining = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    } finally {
      this.#draining = false;
    }
  }

  /** The engine is not called any more. It may be on the stack, since it reports: it can only go after that. */
  end(): void {
    const raw = this.#raw;
    this.#raw = null;
    queueMicrotask(() => raw?.free());
  }
}
