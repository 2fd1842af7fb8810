// Checked by the compiler alone: each `@ts-expect-error` is an error if the line below it is none.

import { connect } from "../../src/index.js";
import { connect as connectCore } from "../../src/core.js";
import type { AnswerPart, ClientStream } from "../../src/index.js";

interface Speech {
  transcribe: { send: { language: string }; stream: Uint8Array; answer: { heard: { text: string }; done: number } };
  tally: { send: null; stream: { n: number } };
  say: { send: { text: string } };
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_same: Same<A, B>): void {}

export async function streams(microphone: ReadableStream<Uint8Array>, file: File): Promise<void> {
  const client = await connect<Speech>("wss://example.org/ws");
  const stream = client.openStream("transcribe", { language: "en" });
  same<typeof stream, ClientStream<Speech, "transcribe">>(true);
  await stream.write(file);
  await stream.write(new Float32Array(1));
  // @ts-expect-error: JSON where bytes are meant
  await stream.write({ n: 1 });
  same<ReturnType<typeof stream.end>, Promise<void>>(true);
  for await (const part of stream) {
    if (part.event === "heard") same<typeof part.payload, { text: string }>(true);
    else same<typeof part.payload, number>(true);
  }
  async function* numbers(): AsyncGenerator<{ n: number }> {
    yield { n: 1 };
  }
  for await (const part of client.openStream("tally", null, { from: numbers() })) same<typeof part, AnswerPart>(true);
  client.openStream("tally", null, { from: [{ n: 1 }], signal: AbortSignal.timeout(1000) });
  client.openStream("transcribe", { language: "en" }, { from: microphone as unknown as AsyncIterable<Uint8Array> });
  // @ts-expect-error: parts of another shape
  client.openStream("tally", null, { from: ["a"] });
  // @ts-expect-error: a payload of another shape
  client.openStream("transcribe", null);
  // @ts-expect-error: an event that opens no stream
  client.openStream("say", { text: "a" });

  const untyped = await connect("wss://example.org/ws");
  const anything = untyped.openStream("anything", null);
  await anything.write(new Blob());
  await anything.write({ goes: true });
  for await (const part of anything) same<typeof part, AnswerPart>(true);

  const core = await connectCore("wss://example.org/ws");
  // @ts-expect-error: the core entry has no streams
  core.openStream("anything", null);
}
