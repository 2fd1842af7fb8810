import { Agent } from "./agent";
import { Chat } from "./chat";
import { comparison } from "./comparison";
import { Connection } from "./connection";
import { faultPanel } from "./faults";
import { Notifications } from "./notifications";
import { explain, part } from "./page";
import { SendList } from "./sends";
import { StageRail } from "./stages";
import { formerToken, keepToken, subjectOf, takeToken } from "./token";
import { Upload } from "./upload";
import { Wire } from "./wire";

let token = takeToken() ?? formerToken();

const sends = new SendList();
const wire = new Wire();
const rail = new StageRail(() => connection.open());
const connection = new Connection(() => token, {
  dialling() {
    rail.restart();
    sends.restart();
  },
  opened(client) {
    void chat.follow(client);
    // What was under way when this page was loaded again.
    for (const { id, event } of client.openAnswers) {
      if (event === "agent.run") agent.goOn(client.attach(id));
      else upload.abandon(client.attach(id));
    }
  },
  state(change) {
    rail.change(change);
    agent.state(change);
    upload.state(change);
  },
  send(change) {
    sends.change(change);
    agent.send(change);
  },
  message(event, payload) {
    if (event === "notification") notifications.received(payload);
  },
  asked: (permission, signal) => agent.ask(permission, signal),
  frame: (direction, text) => wire.frame(direction, text),
  failed: (failure) => rail.failed(explain(failure)),
});
const chat = new Chat(connection, sends, new URLSearchParams(location.search).get("room") ?? "lobby");
const notifications = new Notifications(connection, sends);
const agent = new Agent(connection, sends);
const upload = new Upload(connection, sends);
faultPanel();
comparison(() => token);

const tokenForm = part("token-form", HTMLFormElement);
const tokenInput = part("token-input", HTMLInputElement);
tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const pasted = tokenInput.value.trim();
  tokenInput.value = "";
  if (pasted !== "") begin(pasted);
});

const secondTab = part("second-tab", HTMLButtonElement);
secondTab.addEventListener("click", () => {
  if (token !== null) window.open(`${location.pathname}${location.search}#token=${encodeURIComponent(token)}`, "_blank", "noopener");
});

// The same page given another token in its address.
addEventListener("hashchange", () => {
  const given = takeToken();
  if (given !== null) begin(given);
});

if (token === null) {
  tokenForm.hidden = false;
  secondTab.hidden = true;
} else {
  begin(token);
}

function begin(given: string): void {
  token = given;
  keepToken(given);
  tokenForm.hidden = true;
  secondTab.hidden = false;
  const subject = subjectOf(given);
  part("subject", HTMLElement).textContent = subject === "" ? "" : `signed in as ${subject}`;
  notifications.addressTo(subject);
  connection.open();
}
