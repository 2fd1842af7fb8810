import { ReadywireError } from "readywire";

/** Finds a part of the page that index.html promises, and fails loudly when the two disagree. */
export function part<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} with the id ${id}`);
  return found;
}

/** A new element with a class and text. Text from outside reaches the page only through here, as text. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const created = document.createElement(name);
  if (className !== "") created.className = className;
  created.textContent = text;
  return created;
}

/** Adds an entry to a log, keeps the log bounded, and follows it unless the reader has scrolled up. */
export function append(log: HTMLElement, entry: HTMLElement, limit = 300): void {
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(entry);
  while (log.childElementCount > limit) log.firstElementChild?.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

/** Puts entries in front of all others, and leaves what the reader sees where it is. */
export function prepend(log: HTMLElement, entries: readonly HTMLElement[]): void {
  const below = log.scrollHeight - log.scrollTop;
  log.prepend(...entries);
  log.scrollTop = log.scrollHeight - below;
}

/** A field of a payload, if the payload is an object that has it. */
export function field(payload: unknown, name: string): unknown {
  return typeof payload === "object" && payload !== null ? (payload as Record<string, unknown>)[name] : undefined;
}

/** A text field of a payload, or an empty text. */
export function textField(payload: unknown, name: string): string {
  const value = field(payload, name);
  return typeof value === "string" ? value : "";
}

/** What this tab had under this name before it was loaded again; null where nothing can be kept. */
export function recall(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Keeps a text for when this tab is loaded again, if the browser lets it. */
export function remember(name: string, text: string): void {
  try {
    sessionStorage.setItem(name, text);
  } catch {
    // Full or switched off: then a reload begins anew.
  }
}

/** What an error says to a person. */
export function explain(failure: unknown): string {
  if (failure instanceof ReadywireError) return `${failure.message}. ${failure.remedy}`.trim();
  return failure instanceof Error ? failure.message : String(failure);
}
