// The page's half of guarantees.mjs, which calls these functions and judges what they give.

import { connect } from "./node_modules/readywire/dist/index.js";

const LAST = "last";

/** Collects the texts of chat messages. `last` is resolved by one more message: whatever came double, came before it. */
function listen() {
  const received = [];
  let arrived;
  const last = new Promise((resolve) => (arrived = resolve));
  const onmessage = ({ event, payload }) => {
    if (event !== "chat.message") return;
    if (payload.text === LAST) arrived();
    else received.push(payload.text);
  };
  return { received, last, onmessage };
}

/** Sends all messages at once, while the server is still starting. */
globalThis.sendAtOnce = async (url, token, count) => {
  const { received, last, onmessage } = listen();
  const client = await connect(url, { token: () => token, resolveWhen: "dialling", onmessage });
  const sends = Array.from({ length: count }, (_, index) => client.send("chat.message", { text: String(index) }));
  const stateWhenSent = client.state;
  const ids = (await Promise.all(sends)).map(({ id }) => id);
  await client.send("chat.message", { text: LAST });
  await last;
  await client.close();
  return { stateWhenSent, ids, received };
};

/**
 * Sends numbered messages, so many at a time, and reads a long answer beside them. Meanwhile it asks for cuts: each
 * when the client is ready again and after a random number of outcomes. However slow the machine is, an answer is under way
 * at each cut: another one is asked for as long as there are cuts to come.
 */
globalThis.sendThroughCuts = async (url, token, { messages, window, cuts, prompt, pace, options }) => {
  const { received, last, onmessage } = listen();
  const sessions = new Set();
  const perCut = messages / cuts;
  let ready = false;
  let attempts = 0;
  let done = 0;
  let outcomes = 0;
  let due = draw();
  let resume = () => {};

  /** Fewer outcomes than messages are allowed for each cut, so the messages last through all of them. */
  function draw() {
    return 1 + Math.floor(Math.random() * (perCut - 1));
  }
  function cutIfDue() {
    if (!ready || outcomes < due || done === cuts) return;
    ready = false;
    outcomes = 0;
    due = draw();
    done++;
    globalThis.cut();
    resume();
  }

  const client = await connect(url, {
    ...options,
    token: () => token,
    onmessage,
    onstatechange: ({ state, attempt }) => {
      ready = state === "processing_ready";
      attempts = attempt;
      if (ready) cutIfDue();
    },
  });
  const answers = [];
  const reading = (async () => {
    do {
      const steps = [];
      answers.push(steps);
      for await (const { event, payload, offset } of client.stream("agent.run", { prompt, pace_ms: pace })) {
        steps.push({ event, word: payload.read ?? null, offset, cuts: done });
        sessions.add(client.session);
      }
    } while (done < cuts);
  })();

  const results = Array.from({ length: messages }, () => []);
  const underWay = new Set();
  for (let index = 0; index < messages; index++) {
    while (underWay.size === window || index >= (done + 1) * perCut) {
      await Promise.race([...underWay, new Promise((resolve) => (resume = resolve))]);
    }
    const send = client
      .send("chat.message", { text: String(index) })
      .then(
        ({ id }) => results[index].push(id),
        (error) => results[index].push(`${error.name} ${error.code}: ${error.message}`),
      )
      .then(() => {
        underWay.delete(send);
        sessions.add(client.session);
        outcomes++;
        cutIfDue();
      });
    underWay.add(send);
  }
  await Promise.all(underWay);
  await reading;
  await client.send("chat.message", { text: LAST });
  await last;
  await client.close();
  return { results, received, answers, attempts, cuts: done, sessions: [...sessions] };
};
