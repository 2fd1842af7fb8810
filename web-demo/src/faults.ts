import { element, explain, part } from "./page";

/** Sets fault switches of the server. */
export async function setFault(fault: object): Promise<void> {
  const answer = await fetch("/faults", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fault),
  });
  if (!answer.ok) {
    throw new Error(answer.status === 404 ? "this server was started without --faults" : `the server answered ${answer.status}`);
  }
}

interface Fault {
  id: string;
  label: string;
  hint: string;
  steps: object[];
}

const CUT = { cut: true };

const FAULTS: Fault[] = [
  { id: "slow", label: "Slow service", hint: "The search service now takes 3 s to start, and the connection was cut: watch the stages, and type meanwhile.", steps: [{ service_delay_ms: { search: 3000 } }, CUT] },
  { id: "fail", label: "Failing service", hint: "The search service fails to start, and the connection was cut: the client retries with backoff until you reset.", steps: [{ service_fail: ["search"] }, CUT] },
  { id: "impair", label: "Impaired service", hint: "Search is impaired: the connection stays ready but degraded. An agent run is held until it works, or refused if it is not to wait.", steps: [{ impair: ["search"] }] },
  { id: "cut", label: "Cut the connection", hint: "Cut without a goodbye: the client reconnects and resumes where it was.", steps: [CUT] },
  { id: "deploy", label: "Deployment", hint: "The server says that it goes away, and lets everybody in again, as the next one would: the new connection is ready before the old one ends, so nothing is held back.", steps: [{ drain: true }] },
  { id: "acks", label: "Lose acks", hint: "The next 3 acknowledgements get lost. Send something, then cut: it is settled, not doubled.", steps: [{ lose_acks: 3 }] },
  { id: "expire", label: "Expired token", hint: "The token has expired. The client asks for a new one, this page has only the old one, and after three refusals it stops.", steps: [{ expire_tokens: true }] },
  { id: "reset", label: "Reset", hint: "All faults are off.", steps: [{ reset: true }] },
];

/** The panel that breaks things on purpose. */
export function faultPanel(): void {
  const buttons = part("fault-buttons", HTMLElement);
  const result = part("fault-result", HTMLElement);
  for (const fault of FAULTS) {
    const button = element("button", fault.id === "reset" ? "quiet" : "fault", fault.label);
    button.type = "button";
    button.dataset["fault"] = fault.id;
    button.addEventListener("click", () => {
      void (async () => {
        try {
          for (const step of fault.steps) await setFault(step);
          result.textContent = fault.hint;
        } catch (failure) {
          result.textContent = `Could not set this fault: ${explain(failure)}.`;
        }
      })();
    });
    buttons.append(button);
  }
}
