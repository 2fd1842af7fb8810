// The page's half of page-life.mjs: one client, and a record of what it tells.

import { connect } from "./node_modules/readywire/dist/index.js";

const told = { states: [], sessions: [], messages: [], parts: [], tokens: 0, end: null };
let client;

globalThis.told = told;

/** Connects; `freshToken` is exposed by the test. */
globalThis.open = async (url, options) => {
  client = await connect(url, {
    ...options,
    token: () => {
      told.tokens++;
      return globalThis.freshToken();
    },
    onstatechange: ({ state, attempt }) => told.states.push({ state, attempt }),
    onsession: (session) => told.sessions.push(session),
    onmessage: ({ event, payload, offset }) => told.messages.push({ event, payload, offset }),
  });
  return { session: client.session, openAnswers: client.openAnswers };
};

async function read(parts) {
  try {
    for await (const { event, offset } of parts) {
      told.parts.push({ event, offset });
      // As an application does that wants to show them again.
      localStorage.setItem("parts", JSON.stringify([...JSON.parse(localStorage.getItem("parts") ?? "[]"), { event, offset }]));
    }
    told.end = "end";
  } catch (error) {
    told.end = error.code;
  }
}

globalThis.run = (prompt, pace) => void read(client.stream("agent.run", { prompt, pace_ms: pace }));
globalThis.attach = (id) => void read(client.attach(id));
globalThis.send = async (payload) => (await client.send("echo", payload)).id;
globalThis.close = () => client.close();
