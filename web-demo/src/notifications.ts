import type { Connection } from "./connection";
import { append, element, explain, part, textField } from "./page";
import type { SendList } from "./sends";

/** Direct messages to one user, on every tab that user has open. */
export class Notifications {
  readonly #log = part("notifications", HTMLElement);
  readonly #subject = part("notify-subject", HTMLInputElement);

  constructor(connection: Connection, sends: SendList) {
    const text = part("notify-text", HTMLInputElement);
    part("notify-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const payload = { subject: this.#subject.value.trim(), text: text.value };
      void (async () => {
        try {
          const client = await connection.client();
          sends.expect("notify", `to ${payload.subject}`);
          await client.send("notify", payload);
        } catch (failure) {
          append(this.#log, element("div", "message failed", `Not sent: ${explain(failure)}`));
        }
      })();
    });
  }

  /** Addresses the form to this user, to begin with. */
  addressTo(subject: string): void {
    this.#subject.value = subject;
  }

  /** Shows a notification that has come in. */
  received(payload: unknown): void {
    const item = element("div", "message");
    const from = textField(payload, "from");
    item.append(
      element("span", "from", from === "" ? new Date().toLocaleTimeString() : `from ${from}`),
      element("span", "text", textField(payload, "text")),
    );
    append(this.#log, item, 50);
  }
}
