import type { StateChange } from "readywire";
import { element, part } from "./page";

const STAGES = ["connecting", "accepted", "authenticated", "services_ready", "processing_ready"] as const;
type Stage = (typeof STAGES)[number];

const MEANING: Record<Stage, string> = {
  connecting: "dialling",
  accepted: "the server speaks",
  authenticated: "it knows who we are",
  services_ready: "its services run",
  processing_ready: "it will process the next message",
};

/** The rail of stages: which are confirmed on this very connection, when, and what is still pending. */
export class StageRail {
  readonly #items = new Map<Stage, { item: HTMLLIElement; time: HTMLElement; note: HTMLElement }>();
  readonly #pill = part("state", HTMLElement);
  readonly #detail = part("state-detail", HTMLElement);
  readonly #again = part("connect-again", HTMLButtonElement);
  #begun = performance.now();
  #reached = new Map<Stage, number>();
  #services = 0;
  #everReady = false;
  #leaving = false;

  constructor(connectAgain: () => void) {
    const list = part("stages", HTMLOListElement);
    for (const stage of STAGES) {
      const item = element("li", "stage");
      item.dataset["stage"] = stage;
      const time = element("span", "time");
      const note = element("span", "note", MEANING[stage]);
      item.append(element("span", "dot"), element("span", "name", stage.toUpperCase()), time, note);
      list.append(item);
      this.#items.set(stage, { item, time, note });
    }
    this.#again.addEventListener("click", () => {
      connectAgain();
      // The button is gone now: the keyboard goes on where the news are.
      this.#detail.focus();
    });
  }

  /** A new client starts: nothing is confirmed. */
  restart(): void {
    this.#everReady = false;
    this.#restartAttempt();
    this.#show("connecting", [], "Dialling…");
  }

  /** Shows a change of state. */
  change(change: StateChange): void {
    const { state, pending, impaired } = change;
    if (state === "connecting") {
      this.#leaving = false;
      this.#restartAttempt();
      const why = change.reason ? ` Reason: ${change.reason}.` : "";
      const text =
        change.retryInMs !== null
          ? `The connection is gone. Next attempt in ${(change.retryInMs / 1000).toFixed(1)} s.${why} Sends are held back.`
          : this.#everReady
            ? `Reconnecting, attempt ${change.attempt}.${why} Sends are held back.`
            : "Dialling… Sends are held back.";
      this.#show(change.retryInMs === null ? "connecting" : "retrying", [], text);
      return;
    }
    if (state === "closed") {
      const code = change.code === null ? "" : ` (${change.code})`;
      this.#show("closed", [], `Closed${code}: ${change.reason || "no reason given"}.`);
      return;
    }
    const stage: Stage = state === "degraded" ? "processing_ready" : state;
    if (!this.#reached.has(stage)) this.#reached.set(stage, performance.now() - this.#begun);
    this.#services = Math.max(this.#services, pending.length);
    if (state === "degraded") {
      this.#show(state, pending, `Ready, but impaired: ${impaired.join(", ")}. What needs it waits; the rest goes on.`);
    } else if (state === "processing_ready") {
      this.#everReady = true;
      const gone = this.#leaving ? "Gone over to the next connection, without a pause. " : "";
      const detail = change.handover
        ? "The server goes away: the next connection is being opened, and this one goes on meanwhile."
        : `${gone}Ready: the server has confirmed, on this connection, that it will process the next message.`;
      this.#leaving = change.handover;
      this.#show(state, pending, detail);
    } else {
      this.#show(state, pending, this.#starting(pending) || "Not ready yet. Sends are held back.");
    }
  }

  /** The client could not even start. */
  failed(reason: string): void {
    this.#show("closed", [], reason);
  }

  #restartAttempt(): void {
    this.#begun = performance.now();
    this.#reached = new Map([["connecting", 0]]);
    this.#services = 0;
  }

  #starting(pending: string[]): string {
    if (pending.length === 0) return "";
    const running = this.#services - pending.length;
    return `Starting ${pending.join(", ")}… ${running} of ${this.#services} running. Sends are held back.`;
  }

  #show(state: string, pending: string[], detail: string): void {
    this.#pill.dataset["state"] = state;
    this.#pill.textContent = state.replace("_", " ");
    if (this.#detail.textContent !== detail) this.#detail.textContent = detail;
    this.#again.hidden = state !== "closed";

    const closed = state === "closed";
    const furthest = STAGES.findLastIndex((stage) => this.#reached.has(stage));
    for (const [index, stage] of STAGES.entries()) {
      const parts = this.#items.get(stage);
      if (parts === undefined) continue;
      const at = this.#reached.get(stage);
      // Dialling is done only when the server has spoken.
      const confirmed = stage === "connecting" ? furthest > 0 : at !== undefined;
      const underWay = !closed && !confirmed && (stage === "connecting" || index === furthest + 1) && index <= furthest + 1;
      const status =
        closed ? (confirmed ? "was" : "off")
        : confirmed ? (state === "degraded" && stage === "processing_ready" ? "degraded" : "done")
        : underWay && !(stage !== "connecting" && furthest === 0) ? "active" : "off";
      parts.item.dataset["status"] = status;
      if (status === "active") parts.item.setAttribute("aria-current", "step");
      else parts.item.removeAttribute("aria-current");
      parts.time.textContent = confirmed && stage !== "connecting" ? `${Math.round(at ?? 0)} ms` : stage === "connecting" && confirmed ? "0 ms" : "";
      const waitsFor = status === "active" && pending.length > 0;
      parts.note.textContent = waitsFor
        ? `starting ${pending.join(", ")}… ${this.#services - pending.length} of ${this.#services}`
        : status === "degraded" ? "ready, with a service impaired" : MEANING[stage];
    }
  }
}
