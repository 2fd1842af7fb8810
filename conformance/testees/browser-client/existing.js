// One client at a server that does not speak the protocol, as the suite then is.

import { Run, outcomeOf } from "./run.js";

export class ExistingRun extends Run {
  constructor(connectExisting, order, report) {
    super(order, report);
    const { existing } = order;
    this.begin(
      connectExisting(order.url, {
        ...this.options(order),
        protocols: existing.protocols,
        opening: existing.opening ? async () => [JSON.stringify({ type: "init", token: await this.provide() })] : undefined,
        readyWhen: existing.ready === undefined ? undefined : (text) => typeOf(text) === existing.ready,
        stopWhen: (code) => existing.stop?.includes(code) ?? false,
        onmessage: (text) => report("message", { text }),
      }),
    );
  }

  obey(order) {
    if (order.op !== "send") return super.obey(order);
    const { handle, text } = order;
    const outcome = (outcome, code) => this.report("outcome", { handle, outcome, code });
    this.client.send(text, this.sendOptions(order)).then(
      ({ acknowledged }) => outcome(acknowledged ? "acknowledged" : "written", null),
      (error) => {
        const found = outcomeOf(error);
        if (found === null) this.trouble(error);
        else outcome(...found);
      },
    );
  }
}

function typeOf(text) {
  try {
    return JSON.parse(text).type;
  } catch {
    return undefined;
  }
}
