import type { Permission } from "./connection";
import { element } from "./page";

let asked = 0;

/** Where questions stand on the page, and where the keyboard goes on when one is gone. */
export interface Place {
  readonly questions: HTMLElement;
  readonly next: HTMLElement;
}

/**
 * Shows a question of the agent, and resolves with what the person says. When nobody waits for that any more the question
 * goes away by itself.
 */
export function askPerson(place: Place, { words, within_ms }: Permission, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const seconds = Math.ceil(within_ms / 1000);
    const question = element("div", "question");
    const text = element("p", "", `May I search the documentation for “${[...new Set(words)].join(", ")}”?`);
    text.id = `question-${++asked}`;
    question.setAttribute("role", "group");
    question.setAttribute("aria-labelledby", text.id);
    const yes = element("button", "", "Yes, search");
    const no = element("button", "quiet", "No");
    const end = (answer: boolean) => {
      const focused = question.contains(document.activeElement);
      question.remove();
      if (focused) place.next.focus();
      resolve(answer);
    };
    for (const [button, answer] of [[yes, true], [no, false]] as const) {
      button.type = "button";
      button.addEventListener("click", () => end(answer));
    }
    signal.addEventListener("abort", () => end(false), { once: true });
    question.append(text, yes, no, element("span", "hint", `It waits for ${seconds} s.`));
    place.questions.append(question);
  });
}
