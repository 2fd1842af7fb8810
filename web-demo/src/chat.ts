import type { Connection, DemoClient } from "./connection";
import { append, element, explain, part, textField } from "./page";
import type { SendList } from "./sends";

interface Waiting {
  text: string;
  item: HTMLElement;
  note: HTMLElement;
}

/**
 * The chat of a room, which is a topic: who comes late, or back, gets what was said meanwhile. What was typed too early
 * waits here, in order, until the server has taken it.
 */
export class Chat {
  readonly #log = part("chat-log", HTMLElement);
  readonly #waitingList = part("chat-waiting", HTMLOListElement);
  #waiting: Waiting[] = [];

  constructor(
    private readonly connection: Connection,
    private readonly sends: SendList,
    private readonly room: string,
  ) {
    const input = part("chat-text", HTMLInputElement);
    part("chat-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (text === "") return;
      input.value = "";
      void this.#send(text);
    });
  }

  /** Follows the room from its beginning, through as many connections as this client takes. */
  async follow(client: DemoClient): Promise<void> {
    this.#log.replaceChildren();
    let stood = false;
    try {
      for await (const news of client.subscribe<"chat.said">(`room/${this.room}`, { from: { offset: 0 } })) {
        if (news.type === "publication") this.#said(news.payload);
        else if (!news.recovered) this.#gap(stood ? "Some messages are missing here." : "Older messages are gone.");
        stood = true;
      }
    } catch (failure) {
      this.#gap(`Nothing more comes: ${explain(failure)}`);
    }
  }

  #gap(text: string): void {
    append(this.#log, element("p", "gap", text));
  }

  /** A line of the room, one of ours among them. */
  #said(payload: unknown): void {
    const text = textField(payload, "text");
    const own = this.#waiting.findIndex((waiting) => waiting.text === text);
    if (own >= 0) this.#waiting.splice(own, 1)[0]?.item.remove();
    const item = element("div", own >= 0 ? "message own" : "message");
    item.append(element("span", "from", own >= 0 ? "this tab" : textField(payload, "from")), element("span", "text", text));
    append(this.#log, item);
  }

  async #send(text: string): Promise<void> {
    const item = element("li", "message own");
    const note = element("span", "from", "held back");
    item.append(note, element("span", "text", text));
    this.#waitingList.append(item);
    const waiting = { text, item, note };
    this.#waiting.push(waiting);
    try {
      const client = await this.connection.client();
      if (client.state === "processing_ready" || client.state === "degraded") note.textContent = "sending";
      this.sends.expect("chat.say", text);
      await client.send("chat.say", { room: this.room, text });
      note.textContent = "acknowledged";
    } catch (failure) {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      item.classList.add("failed");
      note.textContent = `not delivered: ${explain(failure)}`;
    }
  }
}
