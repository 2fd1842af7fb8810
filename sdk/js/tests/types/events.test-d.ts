// Checked by the compiler alone: each `@ts-expect-error` is an error if the line below it is none.

import { connect } from "../../src/index.js";
import type { AnswerPart, Client, Message, StateChange, Subscribed } from "../../src/index.js";

interface Chat {
  "chat.message": { send: { text: string }; receive: { from: string; text: string; at: number } };
  notification: { receive: { text: string } };
  "agent.run": { send: { prompt: string } };
  "agent.ask": { send: { prompt: string }; answer: { thinking: { step: number }; said: string } };
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_same: Same<A, B>): void {}

export async function typed(): Promise<void> {
  await using client = await connect<Chat>("wss://example.org/ws", {
    token: async () => "token",
    onstatechange: (change) => same<typeof change, StateChange>(true),
    onmessage: (message) => {
      if (message.event === "notification") same<typeof message.payload, { text: string }>(true);
      else same<typeof message.payload, { from: string; text: string; at: number }>(true);
    },
  });

  const taken = await client.send("chat.message", { text: "hello" }, { policy: "fail_fast", key: "k" });
  same<typeof taken, { id: number }>(true);
  // @ts-expect-error: a payload of another shape
  await client.send("chat.message", { txt: "hello" });
  // @ts-expect-error: an event that is only received
  await client.send("notification", { text: "hello" });
  // @ts-expect-error: an unknown event
  await client.send("unknown", {});
  // @ts-expect-error: no such policy
  client.trySend("chat.message", { text: "hello" }, { policy: "maybe" });

  for await (const part of client.stream("agent.run", { prompt: "why" })) same<typeof part, AnswerPart>(true);
  // @ts-expect-error: the payload of another event
  client.stream("agent.run", { text: "why" });
  for await (const part of client.stream("agent.ask", { prompt: "why" })) {
    if (part.event === "thinking") same<typeof part.payload, { step: number }>(true);
    else same<typeof part.payload, string>(true);
    // @ts-expect-error: no part of this answer
    if (part.event === "sang") return;
  }
  const asked = await client.request("agent.ask", { prompt: "why" });
  same<typeof asked, { step: number } | string | undefined>(true);
  const anything = await client.request("agent.run", { prompt: "why" });
  same<typeof anything, unknown>(true);
  // @ts-expect-error: the same for a request
  void client.request("agent.run", {});

  client.addEventListener("statechange", (event) => same<typeof event.detail, StateChange>(true));
  client.addEventListener("message", (event) => same<typeof event.detail, Message<Chat>>(true));
  client.addEventListener("sendstate", ({ detail }) => {
    if (detail.state === "held") same<typeof detail.service, string>(true);
    if (detail.state === "refused" || detail.state === "unknown") same<typeof detail.code, string>(true);
    if (detail.state === "acknowledged") same<typeof detail.id, number>(true);
    // @ts-expect-error: no such state
    if (detail.state === "written") return;
  });
  client.addEventListener("session", ({ detail }) => {
    if (detail.resumed) same<typeof detail.lost, null>(true);
    else same<typeof detail.lost, string | null>(true);
  });
  // @ts-expect-error: no such event
  client.addEventListener("mesage", () => {});

  for await (const message of client.messages()) {
    // @ts-expect-error: an event that is only sent
    if (message.event === "agent.run") continue;
  }
  for await (const news of client.subscribe("room/7", { from: { offset: 0 } })) {
    if (news.type === "subscribed") same<typeof news, Subscribed>(true);
    else if (news.event === "notification") same<typeof news.payload, { text: string }>(true);
    else same<typeof news.payload, { from: string; text: string; at: number }>(true);
  }
  // Narrowed to what comes on this topic.
  for await (const news of client.subscribe<"notification">("notes")) {
    if (news.type === "publication") same<typeof news.payload, { text: string }>(true);
  }
  const page = await client.history<"notification">("notes", { limit: 10, before: { offset: 7 } });
  for (const { payload } of page.publications) same<typeof payload, { text: string }>(true);
  same<Awaited<ReturnType<typeof page.older>>, typeof page | null>(true);
  // @ts-expect-error: an event that is only sent
  void client.history<"agent.run">("room/7");
  // @ts-expect-error: an event that is only sent
  client.subscribe<"agent.run">("room/7");
  // @ts-expect-error: a position has an offset
  client.subscribe("room/7", { from: { epoch: "e" } });
  same<Awaited<ReturnType<typeof client.publish>>, { id: number }>(true);
  void client.publish("room/7", "chat.message", { text: "hello" });
  // @ts-expect-error: a payload of another shape
  void client.publish("room/7", "chat.message", { txt: "hello" });

  // @ts-expect-error: read-only
  client.state = "closed";
}

export async function untyped(client: Client): Promise<void> {
  await client.send("anything", { goes: true });
  await client.send("anything", null);
  for await (const message of client.messages()) same<typeof message, { readonly event: string; readonly payload: unknown; readonly offset: number }>(true);
  // @ts-expect-error: made by connect() alone
  new (client.constructor as typeof Client)();
  // A client is an event target like any other.
  const target: EventTarget = client;
  void target;
}

// @ts-expect-error: an answer has parts, by name
void connect<{ "chat.message": { send: string; answer: string } }>("wss://example.org/ws");
// @ts-expect-error: not an event map
void connect<{ "chat.message": string }>("wss://example.org/ws");
// @ts-expect-error: a misspelt option
void connect("wss://example.org/ws", { onStateChange: () => {} });
