// Two servers as there are many, which know nothing of Readywire and are not changed for it.

import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { GraphQLObjectType, GraphQLSchema, GraphQLString } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

/** How long looking somebody up takes: between 0 and 10 ms. */
const lookUp = () => wait(Math.random() * 10);

/**
 * A chat whose handler is attached late, since it looks up who has come first: what arrives meanwhile is heard by nobody.
 * When it listens it says `welcome`.
 */
export async function chatServer() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", async (socket) => {
    await lookUp();
    socket.on("message", (data) => socket.send(JSON.stringify({ type: "said", text: JSON.parse(data).text })));
    socket.send(JSON.stringify({ type: "welcome" }));
  });
  await once(server, "listening");
  return { url: `ws://127.0.0.1:${server.address().port}/`, stop: () => stop(server) };
}

/** GraphQL over WebSocket, by the package that everybody uses, with an `onConnect` that looks somebody up. */
export async function graphqlServer() {
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType({
      name: "Query",
      fields: { said: { type: GraphQLString, args: { text: { type: GraphQLString } }, resolve: (_, { text }) => text } },
    }),
  });
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, path: "/graphql" });
  useServer({ schema, onConnect: async ({ connectionParams }) => (await lookUp(), connectionParams?.token === "secret") }, server);
  await once(server, "listening");
  return { url: `ws://127.0.0.1:${server.address().port}/graphql`, stop: () => stop(server) };
}

async function stop(server) {
  for (const socket of server.clients) socket.terminate();
  server.close();
}
