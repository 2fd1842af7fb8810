import type { SendChange, StateChange } from "readywire";
import type { Connection } from "./connection";
import { append, element, explain, field, part, textField } from "./page";
import type { SendList } from "./sends";

/** Slow enough that a person can cut the connection in the middle. */
const PACE_MS = 300;

const TITLES: Record<string, string> = {
  agent_started: "Started",
  agent_thinking: "Thinking",
  tool_executing: "Using a tool",
  tool_completed: "Tool finished",
  agent_completed: "Completed",
};

/** One run of the agent, shown step by step as it streams in. */
export class Agent {
  readonly #steps = part("agent-steps", HTMLElement);
  readonly #text = part("agent-state", HTMLElement);
  readonly #run = part("agent-run", HTMLButtonElement);
  readonly #stop = part("agent-stop", HTMLButtonElement);
  readonly #hasty = part("agent-hasty", HTMLInputElement);
  #abort: AbortController | null = null;
  #count = 0;
  #ready = false;
  /** The service that the run is held for. */
  #held: string | null = null;

  constructor(
    private readonly connection: Connection,
    private readonly sends: SendList,
  ) {
    const prompt = part("agent-prompt", HTMLInputElement);
    part("agent-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#abort === null && prompt.value.trim() !== "") void this.#start(prompt.value.trim());
    });
    this.#stop.addEventListener("click", () => this.#abort?.abort());
  }

  /** A run goes on when the server is ready. */
  state({ state }: StateChange): void {
    this.#ready = state === "processing_ready" || state === "degraded";
    if (this.#abort !== null && state !== "closed") this.#progress();
  }

  /** A run that waits says what for. */
  send({ event, state, service }: SendChange): void {
    if (event !== "agent.run" || this.#abort === null) return;
    this.#held = state === "held" ? service : null;
    this.#progress();
  }

  async #start(prompt: string): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#count = 0;
    this.#held = null;
    this.#steps.replaceChildren();
    this.#busy(true);
    this.#progress();
    try {
      const client = await this.connection.client();
      this.sends.expect("agent.run", prompt);
      const options = { signal: abort.signal, policy: this.#hasty.checked ? "fail_fast" : "queue" } as const;
      for await (const step of client.stream("agent.run", { prompt, pace_ms: PACE_MS }, options)) {
        this.#count += 1;
        this.#show(String(step.event), step.payload);
        this.#progress();
      }
      this.#end(abort.signal.aborted ? "Stopped" : "Finished");
    } catch (failure) {
      this.#end(abort.signal.aborted ? "Stopped" : "Failed", abort.signal.aborted ? "" : `: ${explain(failure)}`);
    }
  }

  #progress(): void {
    const begun = this.#count > 0;
    const so = `${counted(this.#count)} so far`;
    this.#text.textContent =
      !this.#ready ? (begun ? `${so}. It goes on at the server; the rest follows after the reconnect.` : "Held back until the server is ready.")
      : begun ? `Running, ${so}.`
      : this.#held !== null ? `Held for ${this.#held}: it goes out by itself when that works again.`
      : "Waiting for the first step…";
  }

  #end(how: string, why = ""): void {
    this.#abort = null;
    this.#busy(false);
    this.#text.textContent = `${how} after ${counted(this.#count)}${why === "" ? "." : why}`;
  }

  #busy(busy: boolean): void {
    // Not `disabled`, which would take the focus away from who works with the keyboard.
    this.#run.setAttribute("aria-disabled", String(busy));
    this.#stop.setAttribute("aria-disabled", String(!busy));
  }

  #show(event: string, payload: unknown): void {
    const item = element("div", "step");
    item.dataset["event"] = event;
    item.append(element("span", "name", TITLES[event] ?? event), element("span", "text", describe(event, payload)));
    append(this.#steps, item);
  }
}

function counted(steps: number): string {
  return steps === 1 ? "1 step" : `${steps} steps`;
}

/** A step in one readable line. */
function describe(event: string, payload: unknown): string {
  switch (event) {
    case "agent_started":
      return "";
    case "agent_thinking":
      return `“${textField(payload, "read")}”${listField(payload, "words") === "" ? " is not worth a search" : ""}`;
    case "tool_executing":
      return `${textField(payload, "tool")}: ${listField(payload, "words")}`;
    case "tool_completed":
      return `found ${listField(payload, "found") || "nothing"}`;
    case "agent_completed":
      return textField(payload, "text");
    default:
      return JSON.stringify(payload) ?? "";
  }
}

/** A list in a payload, each of its texts once. */
function listField(payload: unknown, name: string): string {
  const value = field(payload, name);
  return Array.isArray(value) ? [...new Set(value.map(String))].join(", ") : "";
}
