// Checked by the compiler alone: each `@ts-expect-error` is an error if the line below it is none.

import { connectExisting } from "../../src/index.js";
import type { ExistingClient, UnconfirmedClient, Written } from "../../src/index.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_same: Same<A, B>): void {}

interface In {
  type: string;
}
interface Out {
  type: "connection_init" | "subscribe";
}

export async function typed(): Promise<void> {
  {
    await using closing = await connectExisting("wss://example.org/chat", { onclose: ({ code }) => same<typeof code, number | null>(true) });
    closing.addEventListener("statechange", ({ detail }) => same<typeof detail.state, "connecting" | "unconfirmed" | "closed">(true));
    closing.addEventListener("message", ({ detail }) => same<typeof detail, string>(true));
    // @ts-expect-error: such a server tells nothing of sends
    closing.addEventListener("sendstate", () => {});
    // @ts-expect-error: made by connectExisting() alone
    new (closing.constructor as typeof UnconfirmedClient)();
  }
  const client = await connectExisting<In, Out>("wss://example.org/graphql", {
    protocols: ["graphql-transport-ws"],
    opening: async () => [{ type: "connection_init" }],
    encode: JSON.stringify,
    decode: (text) => JSON.parse(text) as In,
    readyWhen: (message) => message.type === "connection_ack",
  });
  same<typeof client, ExistingClient<In, Out>>(true);
  same<typeof client.state, "connecting" | "processing_ready" | "closed">(true);
  await client.ready();
  const written = await client.send({ type: "subscribe" });
  same<typeof written, Written>(true);
  same<typeof written.acknowledged, false>(true);
  // @ts-expect-error: a message of another shape
  await client.send("subscribe");

  // What `encode` takes is what can be sent, whatever the connection begins with.
  const inferred = await connectExisting("wss://example.org/graphql", {
    opening: () => [{ type: "connection_init" }],
    encode: (message: { type: string; id?: string }) => JSON.stringify(message),
    decode: (text): In => JSON.parse(text) as In,
    readyWhen: (message) => message.type === "connection_ack",
  });
  await inferred.send({ type: "subscribe", id: "1" });
  for await (const message of inferred.messages()) same<typeof message, In>(true);

  const unconfirmed = await connectExisting("wss://example.org/chat");
  same<typeof unconfirmed, UnconfirmedClient>(true);
  same<typeof unconfirmed.state, "connecting" | "unconfirmed" | "closed">(true);
  // @ts-expect-error: nobody knows when it is ready
  await unconfirmed.ready();
  // @ts-expect-error: a time for a ready message, and no rule that would know it
  await connectExisting("wss://example.org/chat", { readyMessageTimeoutMs: 5000 });
}
