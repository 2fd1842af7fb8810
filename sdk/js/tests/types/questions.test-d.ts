// Checked by the compiler alone: each `@ts-expect-error` is an error if the line below it is none.

import { connect } from "../../src/index.js";
import { connect as connectCore } from "../../src/core.js";

interface Desk {
  confirm: { asks: { tool: string }; reply: boolean };
  capture: { asks: null; reply: Uint8Array };
  anything: { asks: number };
  say: { send: { text: string } };
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_same: Same<A, B>): void {}

export async function questions(file: File): Promise<void> {
  const client = await connect<Desk>("wss://example.org/ws", {
    questions: { confirm: async ({ tool }) => tool === "ls", anything: (n) => n },
  });
  const takeBack = client.answer("confirm", async (payload, { signal, offset }) => {
    same<typeof payload, { tool: string }>(true);
    same<typeof signal, AbortSignal>(true);
    same<typeof offset, number>(true);
    return true;
  });
  same<typeof takeBack, () => void>(true);
  client.answer("capture", () => file);
  client.answer("anything", () => ({ goes: true }));
  // @ts-expect-error: an answer of another shape
  client.answer("confirm", () => "yes");
  // @ts-expect-error: JSON where bytes are meant
  client.answer("capture", () => ({ n: 1 }));
  // @ts-expect-error: an event by which nobody asks
  client.answer("say", () => true);

  const untyped = await connect("wss://example.org/ws", { questions: { confirm: () => true } });
  untyped.answer("whatever", (payload) => payload);

  const core = await connectCore("wss://example.org/ws");
  // @ts-expect-error: the core entry answers no questions
  core.answer("confirm", () => true);
}
