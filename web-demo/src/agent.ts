import type { Connection } from "./connection";
import { append, element, explain, part } from "./page";
import type { SendList } from "./sends";

const TITLES: Record<string, string> = {
  agent_started: "Started",
  agent_thinking: "Thinking",
  tool_executing: "Using a tool",
  tool_completed: "Tool finished",
  agent_completed: "Completed",
};

/** One run of the agent, shown step by step as it streams in. */
export class Agent {
  readonly #steps = part("agent-steps", HTMLOListElement);
  readonly #state = part("agent-state", HTMLElement);
  readonly #run = part("agent-run", HTMLButtonElement);
  readonly #stop = part("agent-stop", HTMLButtonElement);
  #abort: AbortController | null = null;

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

  async #start(prompt: string): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#steps.replaceChildren();
    this.#busy(true, "Waiting for the first step…");
    let count = 0;
    try {
      const client = await this.connection.client();
      this.sends.expect("agent.run", prompt);
      for await (const step of client.stream("agent.run", { prompt }, { signal: abort.signal })) {
        count += 1;
        this.#show(String(step.event), step.payload);
        this.#state.textContent = `Running, ${count} steps so far.`;
      }
      this.#busy(false, abort.signal.aborted ? `Stopped after ${count} steps.` : `Finished after ${count} steps.`);
    } catch (failure) {
      const text = abort.signal.aborted ? `Stopped after ${count} steps.` : `Failed after ${count} steps: ${explain(failure)}`;
      this.#busy(false, text);
    } finally {
      this.#abort = null;
    }
  }

  #busy(busy: boolean, text: string): void {
    this.#run.disabled = busy;
    this.#stop.disabled = !busy;
    this.#state.textContent = text;
    // The button that had the focus is now disabled: keep the keyboard where it was.
    if (busy && document.activeElement === document.body) this.#stop.focus();
  }

  #show(event: string, payload: unknown): void {
    const item = element("li", "step");
    item.dataset["event"] = event;
    item.append(element("span", "name", TITLES[event] ?? event), element("span", "text", summary(payload)));
    append(this.#steps, item);
  }
}

/** The fields of a step in one readable line, whatever the server puts into it. */
function summary(payload: unknown): string {
  if (typeof payload === "string") return payload;
  if (typeof payload !== "object" || payload === null) return payload === undefined ? "" : String(payload);
  return Object.entries(payload)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => {
      const text = typeof value === "string" ? value : plain(value);
      return name === "text" || name === "message" || name === "answer" ? text : `${name.replaceAll("_", " ")}: ${text}`;
    })
    .join(" · ");
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map((entry) => (typeof entry === "object" ? summary(entry) : String(entry))).join(", ");
  return typeof value === "object" ? `(${summary(value)})` : String(value);
}
