import { AnswerError, type AnswerPart, type SendChange, type StateChange } from "readywire";
import { type Connection, isReady, type Permission } from "./connection";
import { append, element, explain, field, part, recall, remember, textField } from "./page";
import { askPerson } from "./question";
import type { SendList } from "./sends";

/** Slow enough that a person can cut the connection in the middle. */
const PACE_MS = 300;

/** Where the steps are that this tab has shown, for when it is loaded again. */
const PLACE = "readywire-demo:steps";

const TITLES: Record<string, string> = {
  agent_started: "Started",
  agent_thinking: "Thinking",
  tool_permitted: "Permitted",
  tool_refused: "Refused",
  tool_executing: "Using a tool",
  tool_completed: "Tool finished",
  agent_completed: "Completed",
};

type Steps = AsyncIterableIterator<AnswerPart, undefined>;

/** One run of the agent, shown step by step as it streams in. */
export class Agent {
  readonly #steps = part("agent-steps", HTMLElement);
  readonly #text = part("agent-state", HTMLElement);
  readonly #run = part("agent-run", HTMLButtonElement);
  readonly #stop = part("agent-stop", HTMLButtonElement);
  readonly #hasty = part("agent-hasty", HTMLInputElement);
  readonly #asks = part("agent-asks", HTMLInputElement);
  readonly #patience = part("agent-patience", HTMLInputElement);
  readonly #place = { questions: part("agent-questions", HTMLElement), next: this.#text };
  #abort: AbortController | null = null;
  #shown: AnswerPart[] = [];
  #questions = 0;
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
  state(change: StateChange): void {
    this.#ready = isReady(change);
    if (this.#abort !== null && change.state !== "closed") this.#progress();
  }

  /** A run that waits says what for. */
  send({ event, state, service }: SendChange): void {
    if (event !== "agent.run" || this.#abort === null) return;
    this.#held = state === "held" ? service : null;
    this.#progress();
  }

  /** The run asks whether it may; whoever sits here says so. */
  async ask(permission: Permission, signal: AbortSignal): Promise<boolean> {
    this.#questions += 1;
    if (this.#abort !== null) this.#progress();
    try {
      const asked = askPerson(this.#place, permission, signal);
      // The question has made the list shorter: what led to it stays in sight.
      this.#steps.scrollTop = this.#steps.scrollHeight;
      const answer = await asked;
      if (!signal.aborted) this.sends.expect("agent.may", answer ? "yes" : "no");
      return answer;
    } finally {
      this.#questions -= 1;
      if (this.#abort !== null) this.#progress();
    }
  }

  /** Shows the run that was under way when this page was loaded again: its first steps from here, the rest as they come. */
  goOn(rest: Steps): void {
    void this.#follow((signal) => {
      for (const step of JSON.parse(recall(PLACE) ?? "[]") as AnswerPart[]) this.#show(step);
      this.#progress();
      signal.addEventListener("abort", () => void rest.return?.());
      return rest;
    });
  }

  async #start(prompt: string): Promise<void> {
    await this.#follow(async (signal) => {
      const client = await this.connection.client();
      this.sends.expect("agent.run", prompt);
      const asks = this.#asks.checked ? { ask_ms: this.#patience.valueAsNumber * 1000 } : {};
      const policy = this.#hasty.checked ? "fail_fast" : "queue";
      return client.stream("agent.run", { prompt, pace_ms: PACE_MS, ...asks }, { signal, policy });
    });
  }

  async #follow(begin: (signal: AbortSignal) => Steps | Promise<Steps>): Promise<void> {
    const { signal } = (this.#abort = new AbortController());
    this.#shown = [];
    this.#held = null;
    this.#steps.replaceChildren();
    this.#busy(true);
    this.#progress();
    try {
      for await (const step of await begin(signal)) {
        this.#show(step);
        this.#progress();
      }
      this.#end(signal.aborted ? "Stopped" : "Finished");
    } catch (failure) {
      if (signal.aborted) this.#end("Stopped");
      else if (failure instanceof AnswerError && failure.code === "unanswered") this.#end("Ended", ": nobody answered in time.");
      else this.#end("Failed", `: ${explain(failure)}`);
    }
  }

  #progress(): void {
    const begun = this.#shown.length > 0;
    const so = `${counted(this.#shown.length)} so far`;
    this.#text.textContent =
      this.#questions > 0 ? `${so}. It waits for your answer${this.#ready ? "." : ", which goes out after the reconnect."}`
      : !this.#ready ? (begun ? `${so}. It goes on at the server; the rest follows after the reconnect.` : "Held back until the server is ready.")
      : begun ? `Running, ${so}.`
      : this.#held !== null ? `Held for ${this.#held}: it goes out by itself when that works again.`
      : "Waiting for the first step…";
  }

  #end(how: string, why = "."): void {
    this.#abort = null;
    this.#busy(false);
    this.#text.textContent = `${how} after ${counted(this.#shown.length)}${why}`;
  }

  #busy(busy: boolean): void {
    // Not `disabled`, which would take the focus away from who works with the keyboard.
    this.#run.setAttribute("aria-disabled", String(busy));
    this.#stop.setAttribute("aria-disabled", String(!busy));
  }

  #show(step: AnswerPart): void {
    const { event, payload, offset } = step;
    // A page that is loaded again may be told twice of what the former one had.
    if (offset <= (this.#shown.at(-1)?.offset ?? 0)) return;
    this.#shown.push(step);
    remember(PLACE, JSON.stringify(this.#shown));
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
    case "tool_permitted":
      return `you let it use ${textField(payload, "tool")}`;
    case "tool_refused":
      return `you did not let it use ${textField(payload, "tool")}`;
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
