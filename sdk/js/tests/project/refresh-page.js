// A page that stays, while its tokens come and go. `fetchToken` is the test's: it stands for the sign-in of an application.

import { connect } from "./node_modules/readywire/dist/index.js";

let client;
const told = { asked: [], states: [], echoes: 0, slowestEcho: 0 };

globalThis.stay = async (url) => {
  client = await connect(url, {
    token: ({ reason }) => {
      told.asked.push(reason);
      return globalThis.fetchToken();
    },
    onstatechange: ({ state, code }) => told.states.push(code === null ? state : `${state} ${code}`),
  });
};

/** Shows that the connection works. */
globalThis.echo = async () => {
  const begun = performance.now();
  await client.request("echo", told.echoes);
  told.echoes++;
  told.slowestEcho = Math.max(told.slowestEcho, performance.now() - begun);
};

globalThis.leave = async () => {
  const before = structuredClone(told);
  await client.close();
  return before;
};
