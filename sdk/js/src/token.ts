import type { RawClient } from "./raw.js";

/** Asks the application for a token, and hands the engine what comes of it. */
export async function provideToken(
  provider: (() => string | null | Promise<string | null>) | undefined,
  number: number,
  call: (action: (raw: RawClient) => void) => void,
): Promise<void> {
  let token: unknown;
  try {
    token = await provider?.();
  } catch (error) {
    const message = error instanceof Error ? error.message : typeof error === "string" ? error : "";
    // Final only if it says so itself.
    const fatal = (error as { retryable?: unknown } | null | undefined)?.retryable === false;
    call((raw) => raw.failToken(number, message, fatal));
    return;
  }
  call((raw) => raw.provideToken(number, typeof token === "string" ? token : undefined));
}
