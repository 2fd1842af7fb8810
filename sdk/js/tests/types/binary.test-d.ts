// Checked by the compiler alone: each `@ts-expect-error` is an error if the line below it is none.

import { connect } from "../../src/index.js";
import type { SendPayload } from "../../src/index.js";

interface Files {
  upload: { send: Uint8Array };
  either: { send: { name: string } | Uint8Array };
  thumbnail: { receive: Uint8Array };
  note: { send: { text: string } };
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_same: Same<A, B>): void {}

export async function bytes(file: File, picture: DataView): Promise<void> {
  const client = await connect<Files>("wss://example.org/ws");
  for (const payload of [file, picture, new ArrayBuffer(1), new Float32Array(1)]) await client.send("upload", payload);
  await client.publish("room/7", "upload", picture);
  // @ts-expect-error: JSON where bytes are meant
  await client.publish("room/7", "upload", { name: "a" });
  for await (const news of client.subscribe<"thumbnail">("room/7")) {
    if (news.type === "publication") same<typeof news.payload, Uint8Array>(true);
  }
  await client.send("either", { name: "a" });
  await client.send("either", new Uint8Array(1));
  // @ts-expect-error: JSON where bytes are meant
  await client.send("upload", { name: "a" });
  // @ts-expect-error: bytes where JSON is meant
  await client.send("note", new Uint8Array(1));
  same<SendPayload<Files, "note">, { text: string }>(true);
  for await (const message of client.messages()) same<typeof message.payload, Uint8Array>(true);

  const untyped = await connect("wss://example.org/ws");
  await untyped.send("anything", new Blob());
  await untyped.send("anything", { text: "a" });
}
