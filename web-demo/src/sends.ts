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

/** Of several sends in one row the first of these that there is colours it. */
const LOUDEST: SendChange["state"][] = ["unknown", "refused", "expired", "held", "queued", "in_flight", "acknowledged"];

/** Events that open a stream: its parts share a row with the send that opened it. */
const STREAMS: ReadonlySet<string> = new Set(["upload"]);

interface Row {
  readonly id: HTMLElement;
  readonly state: HTMLElement;
  /** What has become of each send in it. */
  readonly sends: Map<number, SendChange["state"]>;
}

/** The list of sends. Each ends in exactly one outcome. */
export class SendList {
  readonly #rows = part("sends-rows", HTMLTableSectionElement);
  readonly #count = part("sends-count", HTMLElement);
  readonly #empty = part("sends-empty", HTMLElement);
  #byHandle = new Map<number, Row>();
  #streams = new Map<string, Row>();
  #labels = new Map<string, string[]>();

  /** A new client counts its handles from the start. Rows of the former one stay to be read. */
  restart(): void {
    this.#byHandle = new Map();
    this.#streams = new Map();
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
    row.sends.set(change.handle, change.state);
    if (change.id !== null || row.sends.size === 1) row.id.textContent = change.id === null ? "–" : String(change.id);
    if (row.sends.size > 1) {
      const counts = counted(row.sends.values());
      row.state.dataset["state"] = LOUDEST.find((state) => counts.has(state)) ?? change.state;
      row.state.textContent = listed(counts);
      this.#summarise();
      return;
    }
    row.state.dataset["state"] = change.state;
    row.state.textContent = change.state === "held" ? `held for ${change.service}` : WORDS[change.state];
    row.state.title = "";
    const why = [change.code, change.message].filter((text) => text !== null && text !== "").join(": ");
    if (why !== "") row.state.title = why;
    if (why !== "" && change.state !== "acknowledged") row.state.textContent += ` · ${why}`;
    this.#summarise();
  }

  #add(change: SendChange): Row {
    const label = this.#labels.get(change.event)?.shift();
    const stream = this.#streams.get(change.event);
    if (label === undefined && stream !== undefined) {
      this.#byHandle.set(change.handle, stream);
      return stream;
    }
    const line = element("tr");
    const id = element("td", "number", "–");
    const what = element("td", "what");
    what.append(element("code", "", change.event));
    if (label !== undefined) what.append(element("span", "", ` ${label}`));
    const outcome = element("td");
    const state = element("span", "outcome");
    outcome.append(state);
    line.append(id, what, outcome);
    this.#rows.prepend(line);
    while (this.#rows.childElementCount > 200) this.#rows.lastElementChild?.remove();
    this.#empty.hidden = true;
    const row = { id, state, sends: new Map() };
    this.#byHandle.set(change.handle, row);
    if (STREAMS.has(change.event)) this.#streams.set(change.event, row);
    return row;
  }

  #summarise(): void {
    const rows = new Set(this.#byHandle.values());
    this.#count.textContent = listed(counted([...rows].flatMap(({ sends }) => [...sends.values()])));
  }
}

function counted(states: Iterable<SendChange["state"]>): Map<SendChange["state"], number> {
  const counts = new Map<SendChange["state"], number>();
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

function listed(counts: ReadonlyMap<SendChange["state"], number>): string {
  return [...counts].map(([state, count]) => `${count} ${WORDS[state]}`).join(", ");
}
