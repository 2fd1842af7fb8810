import { FLAG_FATAL, FLAG_REFRESH, FLAG_TICKET } from "./raw.js";
import type { RawClient } from "./raw.js";
import type { TokenProvider, TokenReason } from "./types.js";

/** Asks the application for tokens, and hands the engine what comes of it. */
export class TokenQuestions {
  readonly #provider: TokenProvider | undefined;
  readonly #call: (action: (raw: RawClient) => void) => void;
  readonly #open = new Map<TokenReason, AbortController>();

  constructor(provider: TokenProvider | undefined, call: (action: (raw: RawClient) => void) => void) {
    this.#provider = provider;
    this.#call = call;
  }

  async ask(reason: TokenReason, number: number): Promise<void> {
    // Who asks anew has given the former question up.
    this.withdraw(reason);
    const asked = new AbortController();
    this.#open.set(reason, asked);
    const flags = reason === "refresh" ? FLAG_REFRESH : 0;
    try {
      const given: unknown = await this.#provider?.({ reason, signal: asked.signal });
      const { ticket } = Object(given) as { ticket?: unknown };
      if (typeof ticket === "string") this.#call((raw) => raw.provideToken(number, flags | FLAG_TICKET, ticket));
      else this.#call((raw) => raw.provideToken(number, flags, typeof given === "string" ? given : undefined));
    } catch (error) {
      const message = error instanceof Error ? error.message : typeof error === "string" ? error : "";
      // Final only if it says so itself.
      const fatal = (error as { retryable?: unknown } | null | undefined)?.retryable === false;
      this.#call((raw) => raw.failToken(number, fatal ? flags | FLAG_FATAL : flags, message));
    } finally {
      if (this.#open.get(reason) === asked) this.#open.delete(reason);
    }
  }

  /** Nobody waits for the answer any more. */
  withdraw(reason: TokenReason): void {
    this.#open.get(reason)?.abort();
    this.#open.delete(reason);
  }
}
