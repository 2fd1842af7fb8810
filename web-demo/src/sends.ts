import type { SendChange } from "readywire";
import { element, part } from "./page";

const WORDS: Record<SendChange["state"], string> = {
  queued: "queued",
  in_flight: "in flight",
  held: "held",
  acknowledged: "acknowledged",
  refused: "refused",
  expired: "expired",
  unknown: "unknown",
};

/** The list of sends. Each ends in exactly one outcome. */
export class SendList {
  readonly #rows = part("sends-rows", HTMLTableSectionElement);
  readonly #count = part("sends-count", HTMLElement);
  readonly #empty = part("sends-empty", HTMLElement);
  #byHandle = new Map<number, { id: HTMLElement; state: HTMLElement; current: SendChange["state"] }>();
  #labels = new Map<string, string[]>();

  /** A new client counts its handles from the start. Rows of the former one stay to be read. */
  restart(): void {
    this.#byHandle = new Map();
    this.#labels = new Map();
  }

  /** Says what the next send of this event will carry: handles are given in the order of the calls. */
  expect(event: string, label: string): void {
    const labels = this.#labels.get(event) ?? [];
    labels.push(label);
    this.#labels.set(event, labels);
  }

  /** Shows how a send has gone on. */
  change(change: SendChange): void {
    const row = this.#byHandle.get(change.handle) ?? this.#add(change);
    row.current = change.state;
    row.id.textContent = change.id === null ? "–" : String(change.id);
    row.state.dataset["state"] = change.state;
    row.state.textContent = change.state === "held" ? `held for ${change.service}` : WORDS[change.state];
    row.state.title = "";
    const why = [change.code, change.message].filter((text) => text !== null && text !== "").join(": ");
    if (why !== "") row.state.title = why;
    if (why !== "" && change.state !== "acknowledged") row.state.textContent += ` · ${why}`;
    this.#summarise();
  }

  #add(change: SendChange): { id: HTMLElement; state: HTMLElement; current: SendChange["state"] } {
    const line = element("tr");
    const id = element("td", "number", "–");
    const what = element("td", "what");
    what.append(element("code", "", change.event));
    const label = this.#labels.get(change.event)?.shift();
    if (label !== undefined) what.append(element("span", "", ` ${label}`));
    const outcome = element("td");
    const state = element("span", "outcome");
    outcome.append(state);
    line.append(id, what, outcome);
    this.#rows.prepend(line);
    while (this.#rows.childElementCount > 200) this.#rows.lastElementChild?.remove();
    this.#empty.hidden = true;
    const row = { id, state, current: change.state };
    this.#byHandle.set(change.handle, row);
    return row;
  }

  #summarise(): void {
    const counts = new Map<SendChange["state"], number>();
    for (const { current } of this.#byHandle.values()) counts.set(current, (counts.get(current) ?? 0) + 1);
    this.#count.textContent = [...counts].map(([state, count]) => `${count} ${WORDS[state]}`).join(", ");
  }
}
