// What each environment does.

export async function scenario(connect, url, token) {
  const states = [];
  const client = await connect(url, {
    token: async () => token,
    readyTimeoutMs: 30_000,
    onstatechange: (change) => states.push(change.state),
  });
  const pendingAtReady = client.pending;
  const messages = client.messages();

  const echoed = await client.request("echo", { text: 'ünï "quoted" 🦀', list: [1, 2.5, null] });

  // All in flight at once: their order is the order of the calls.
  const room = crypto.randomUUID();
  const sends = Array.from({ length: 10 }, (_, index) => client.send("chat.message", { text: `message ${index}#${room}` }));
  const ids = (await Promise.all(sends)).map((taken) => taken.id);
  const received = [];
  for await (const { event, payload } of messages) {
    // The room is everyone's.
    if (event !== "chat.message" || !payload.text.endsWith(`#${room}`)) continue;
    received.push(payload.text.split("#")[0]);
    if (received.length === ids.length) break;
  }

  const steps = [];
  for await (const part of client.stream("agent.run", { prompt: "When is a connection ready?" })) steps.push(part.event);

  // The engine is at work while it tells this: what it is asked meanwhile waits its turn.
  const fromWithin = new Promise((resolve) => {
    const ask = ({ detail }) => {
      if (detail.state !== "acknowledged") return;
      client.removeEventListener("sendstate", ask);
      resolve(client.request("echo", "from within"));
    };
    client.addEventListener("sendstate", ask);
  });
  await client.send("echo", null);
  const within = await fromWithin;

  const tooDeep = Array.from({ length: 70 }).reduce((inner) => [inner], null);
  const unfit = await client.send("echo", tooDeep).then(
    () => null,
    (error) => error.code,
  );

  const missing = await client.send("no.such.event", null).then(
    () => null,
    (error) => error.name,
  );
  await client.close();
  return { states, pendingAtReady, echoed, ids, received, steps, within, unfit, missing, last: client.state };
}

/** What the address of the page tells. */
export function given(hash) {
  const parameters = new URLSearchParams(hash.slice(1));
  return [parameters.get("url"), parameters.get("token")];
}

/** Lets a worker do it. */
export function inWorker(worker, hash) {
  return new Promise((resolve, reject) => {
    worker.onmessage = (event) => ("error" in event.data ? reject(new Error(event.data.error)) : resolve(event.data.result));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(hash);
  });
}

/** The worker's end of it. */
export function answerPage(connect) {
  addEventListener("message", async (event) => {
    try {
      postMessage({ result: await scenario(connect, ...given(event.data)) });
    } catch (error) {
      postMessage({ error: `${error.name}: ${error.message}` });
    }
  });
}
