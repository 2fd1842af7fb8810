import type { Publication, Subscribed } from "readywire";
import { type Connection, type DemoClient, type DemoEvents, isReady } from "./connection";
import { append, element, explain, part, prepend, textField } from "./page";
import type { SendList } from "./sends";

type Said = Publication<DemoEvents, "chat.said">;

/** How many messages the chat begins with, and each look further back brings. */
const LATEST = 50;

interface Waiting {
  text: string;
  item: HTMLElement;
  note: HTMLElement;
}

/**
 * The chat of a room, which is a topic: who comes late begins with the latest messages, and pages back from there; who
 * comes back gets what was said meanwhile. What was typed too early waits here, in order, until the server has taken it.
 */
export class Chat {
  readonly #log = part("chat-log", HTMLElement);
  readonly #waitingList = part("chat-waiting", HTMLOListElement);
  readonly #older = part("chat-older", HTMLButtonElement);
  #waiting: Waiting[] = [];
  #client: DemoClient | null = null;
  #epoch = "";

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
    this.#older.addEventListener("click", () => void this.#lookBack());
  }

  get #topic(): string {
    return `room/${this.room}`;
  }

  /** Follows the room from its latest messages on, through as many connections as this client takes. */
  async follow(client: DemoClient): Promise<void> {
    this.#client = client;
    this.#log.replaceChildren();
    this.#offerOlder(false);
    let stood = false;
    try {
      for await (const news of client.subscribe<"chat.said">(this.#topic, { last: LATEST })) {
        if (news.type === "publication") this.#said(news);
        else this.#stands(news, stood);
        stood = true;
      }
    } catch (failure) {
      append(this.#log, gap(`Nothing more comes: ${explain(failure)}`));
    }
  }

  #stands({ offset, epoch, recovered }: Subscribed, stood: boolean): void {
    if (!stood) {
      this.#epoch = epoch;
      this.#offerOlder(offset > 0);
    } else if (!recovered) {
      append(this.#log, gap("Some messages are missing here."));
      // What is below belongs to another life of the room.
      if (epoch !== this.#epoch) this.#offerOlder(false);
    }
  }

  /** A line that is said now, one of ours among them. */
  #said({ offset, payload }: Said): void {
    const text = textField(payload, "text");
    const own = this.#waiting.findIndex((waiting) => waiting.text === text);
    if (own >= 0) this.#waiting.splice(own, 1)[0]?.item.remove();
    append(this.#log, line(offset, payload, own >= 0));
  }

  /** Loads the page in front of the oldest line. */
  async #lookBack(): Promise<void> {
    const client = this.#client;
    const oldest = Number(this.#log.querySelector<HTMLElement>("[data-offset]")?.dataset.offset ?? 0);
    if (client === null || oldest === 0 || this.#older.ariaDisabled === "true") return;
    this.#older.ariaDisabled = "true";
    try {
      const before = { offset: oldest, epoch: this.#epoch };
      const { publications, more } = await client.history<"chat.said">(this.#topic, { limit: LATEST, before });
      if (client !== this.#client) return;
      const lines = publications.map(({ offset, payload }) => line(offset, payload, false));
      if (!more && (publications[0]?.offset ?? oldest) > 1) lines.unshift(gap("Older messages are gone."));
      prepend(this.#log, lines);
      this.#offerOlder(more);
    } catch (failure) {
      if (client === this.#client) prepend(this.#log, [gap(`Older messages cannot be read: ${explain(failure)}`)]);
    } finally {
      this.#older.ariaDisabled = null;
    }
  }

  #offerOlder(there: boolean): void {
    // Whoever pressed it reads on where it led.
    if (!there && document.activeElement === this.#older) this.#log.focus();
    this.#older.hidden = !there;
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
      if (isReady(client)) note.textContent = "sending";
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

function line(offset: number, payload: unknown, own: boolean): HTMLElement {
  const item = element("div", own ? "message own" : "message");
  item.dataset.offset = String(offset);
  item.append(
    element("span", "from", own ? "this tab" : textField(payload, "from")),
    element("span", "text", textField(payload, "text")),
  );
  return item;
}

function gap(text: string): HTMLElement {
  return element("p", "gap", text);
}
