import { append, element, part } from "./page";

const SHOWN_CHARACTERS = 400;

/** The frames of this page's connection, for the curious. */
export class Wire {
  readonly #frames = part("wire-frames", HTMLOListElement);
  readonly #count = part("wire-count", HTMLElement);
  #in = 0;
  #out = 0;

  frame(direction: "in" | "out", text: string): void {
    if (direction === "in") this.#in += 1;
    else this.#out += 1;
    this.#count.textContent = `${this.#out} sent, ${this.#in} received`;
    const item = element("li", "frame", text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
    item.dataset["direction"] = direction;
    append(this.#frames, item, 200);
  }
}
