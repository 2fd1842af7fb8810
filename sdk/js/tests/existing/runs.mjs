// Connects again and again, gives a first message at the first moment that a client allows, and counts those that nobody
// heard. No clock decides: a second message, sent once the server is known to listen, comes back behind the first, if that
// comes back at all.

import { once } from "node:events";
import { WebSocket } from "ws";

/** Runs of one connect, each true if its first message was heard. */
export const runs = {
  /** As many do it: send when the socket opens. */
  async plainClient(url) {
    const socket = new WebSocket(url);
    const heard = [];
    const done = new Promise((resolve, reject) => {
      socket.on("open", () => socket.send(JSON.stringify({ text: "first" })));
      socket.on("message", (data) => {
        const { type, text } = JSON.parse(data);
        if (type === "welcome") socket.send(JSON.stringify({ text: "second" }));
        else heard.push(text);
        if (text === "second") resolve();
      });
      socket.on("error", reject);
      socket.on("close", resolve);
    });
    await done;
    socket.terminate();
    return heard[0] === "first";
  },

  /** The mode for existing servers, with `welcome` as the server's own word. */
  async existingMode(url, { connectExisting }) {
    const heard = [];
    let done;
    const both = new Promise((resolve) => (done = resolve));
    const client = await connectExisting(url, {
      resolveWhen: "dialling",
      encode: JSON.stringify,
      decode: JSON.parse,
      readyWhen: ({ type }) => type === "welcome",
      onmessage({ type, text }) {
        if (type === "said") heard.push(text);
        if (text === "second") done();
      },
    });
    const first = client.send({ text: "first" });
    await client.ready();
    await client.send({ text: "second" });
    const { acknowledged } = await first;
    await both;
    await client.close();
    return heard[0] === "first" && acknowledged === false;
  },

  /** A client of the protocol, at a gateway before the chat. */
  async protocolClient(url, { connect }) {
    const heard = [];
    let done;
    const both = new Promise((resolve) => (done = resolve));
    const client = await connect(url, {
      resolveWhen: "dialling",
      onmessage({ payload: { type, text } }) {
        if (type === "said") heard.push(text);
        if (text === "second") done();
      },
    });
    await Promise.all([client.send("json", { text: "first" }), client.send("json", { text: "second" })]);
    await both;
    await client.close();
    return heard[0] === "first";
  },

  /** GraphQL as it is often written by hand: `connection_init` and the query at the open socket. */
  async plainGraphql(url) {
    const socket = new WebSocket(url, "graphql-transport-ws");
    let heard = false;
    socket.on("open", () => {
      socket.send(JSON.stringify({ type: "connection_init", payload: { token: "secret" } }));
      socket.send(JSON.stringify(query("first")));
    });
    socket.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.type === "next") heard = message.payload.data.said === "first";
      if (message.type === "complete") socket.close();
    });
    await once(socket, "close");
    return heard;
  },

  /** The mode for existing servers: `connection_init` opens, `connection_ack` is ready. */
  async existingGraphql(url, { connectExisting }) {
    let answered;
    const answer = new Promise((resolve) => (answered = resolve));
    const client = await connectExisting(url, {
      resolveWhen: "dialling",
      protocols: ["graphql-transport-ws"],
      opening: async () => [{ type: "connection_init", payload: { token: "secret" } }],
      encode: JSON.stringify,
      decode: JSON.parse,
      readyWhen: ({ type }) => type === "connection_ack",
      onmessage: (message) => message.type === "next" && answered(message.payload.data.said),
    });
    await client.send(query("first"));
    const said = await answer;
    await client.close();
    return said === "first";
  },
};

function query(text) {
  return { type: "subscribe", id: "1", payload: { query: "query ($text: String) { said(text: $text) }", variables: { text } } };
}

/** Does a run so many times, a few at a time, and counts the first messages that were lost. */
export async function lost(run, times, url, readywire) {
  let [begun, missing] = [0, 0];
  const worker = async () => {
    while (begun++ < times) if (!(await run(url, readywire))) missing++;
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return missing;
}
