import { connect } from "readywire";
import { type DemoEvents, socketAddress } from "./connection";
import { setFault } from "./faults";
import { element, explain, part } from "./page";

const MESSAGES = ["first", "second", "third"];
const START_MS = 1500;
const GIVE_UP_MS = 15_000;

/** One lane: three messages, each of them waiting, arrived or lost. */
class Lane {
  readonly #items: HTMLElement[];
  readonly #result: HTMLElement;

  constructor(name: "plain" | "readywire") {
    this.#result = part(`${name}-result`, HTMLElement);
    this.#result.textContent = "";
    this.#items = MESSAGES.map((text) => {
      const item = element("li");
      item.append(element("span", "text", text), element("span", "outcome", "not sent"));
      return item;
    });
    part(`${name}-messages`, HTMLOListElement).replaceChildren(...this.#items);
  }

  set(index: number, state: string, words: string): void {
    const outcome = this.#items[index]?.querySelector<HTMLElement>(".outcome");
    if (outcome === null || outcome === undefined) return;
    outcome.dataset["state"] = state;
    outcome.textContent = words;
  }

  finish(arrived: number, failure = ""): void {
    const lost = MESSAGES.length - arrived;
    this.#result.dataset["lost"] = String(lost);
    this.#result.textContent =
      failure !== "" ? failure : lost === 0 ? "None lost." : `${lost} of ${MESSAGES.length} lost, without any error.`;
  }
}

/** The lane where a plain WebSocket and Readywire do the same, side by side. */
export function comparison(token: () => string | null): void {
  const button = part("compare", HTMLButtonElement);
  let running = false;
  const run = (is: boolean) => {
    running = is;
    // Not `disabled`, which would take the focus away.
    button.setAttribute("aria-disabled", String(is));
  };
  button.addEventListener("click", () => {
    if (running) return;
    void (async () => {
      run(true);
      const lanes = { plain: new Lane("plain"), readywire: new Lane("readywire") };
      try {
        await setFault({ service_delay_ms: { search: START_MS } });
        await Promise.all([plainLane(lanes.plain), readywireLane(lanes.readywire, token)]);
        await setFault({ service_delay_ms: { search: 0 } });
      } catch (failure) {
        lanes.plain.finish(0, explain(failure));
      } finally {
        run(false);
      }
    })();
  });
}

/** Sends at `open`, as most code does. A probe tells when the server has begun to listen: what came back by then is all. */
function plainLane(lane: Lane): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(socketAddress("/plain"));
    const begun = performance.now();
    const arrived = new Set<number>();
    let probe = 0;
    let sent = "";
    let over = false;
    const end = (failure = "") => {
      if (over) return;
      over = true;
      clearInterval(probe);
      socket.close();
      for (const index of MESSAGES.keys()) if (!arrived.has(index)) lane.set(index, "lost", `${sent}lost`);
      lane.finish(arrived.size, failure);
      resolve();
    };
    socket.addEventListener("open", () => {
      sent = `sent at ${since(begun)}, `;
      for (const [index, text] of MESSAGES.entries()) {
        socket.send(JSON.stringify({ text }));
        lane.set(index, "in_flight", `${sent}no answer yet`);
      }
      probe = window.setInterval(() => {
        if (performance.now() - begun > GIVE_UP_MS) end();
        else socket.send(JSON.stringify({ text: "anyone there?" }));
      }, 200);
    });
    socket.addEventListener("message", ({ data }) => {
      const text = String(data);
      const index = MESSAGES.findIndex((message) => text.includes(message));
      if (index >= 0) {
        arrived.add(index);
        lane.set(index, "acknowledged", `answered at ${since(begun)}`);
      } else if (text.includes("anyone there?")) {
        end();
      }
    });
    socket.addEventListener("close", () => end());
  });
}

/** The same three messages, handed over before the connection is even open. */
async function readywireLane(lane: Lane, token: () => string | null): Promise<void> {
  const begun = performance.now();
  const client = await connect<DemoEvents>(socketAddress("/ws"), { token, resolveWhen: "dialling" });
  let arrived = 0;
  let reason = "";
  await Promise.all(
    MESSAGES.map(async (text, index) => {
      lane.set(index, "queued", "held back");
      try {
        await client.request("echo", { text });
        arrived += 1;
        lane.set(index, "acknowledged", `answered at ${since(begun)}`);
      } catch (failure) {
        reason = explain(failure);
        lane.set(index, "refused", reason);
      }
    }),
  );
  lane.finish(arrived, reason);
  await client.close({ deadlineMs: 1000 });
}

function since(begun: number): string {
  return `${Math.round(performance.now() - begun)} ms`;
}
