import { recall, remember } from "./page";

/** Where a reload of this tab finds it. */
const PLACE = "readywire-demo:token";

/**
 * Takes the token out of `#token=…` and removes it from the address bar, so that it is in no bookmark, history entry or
 * screenshot.
 */
export function takeToken(): string | null {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token");
  if (token === null) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  return token === "" ? null : token;
}

/** The token that this tab had before it was loaded again. A page with a login would ask its server for a fresh one. */
export function formerToken(): string | null {
  return recall(PLACE);
}

/** Keeps the token for as long as this tab is open. */
export function keepToken(token: string): void {
  remember(PLACE, token);
}

/** Whom the token names. For display only: the server alone decides who it is. */
export function subjectOf(token: string): string {
  try {
    const claims = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (character) => character.charCodeAt(0));
    const subject: unknown = (JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown }).sub;
    return typeof subject === "string" ? subject : "";
  } catch {
    return "";
  }
}
