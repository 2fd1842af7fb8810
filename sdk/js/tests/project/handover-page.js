// The page's half of handover.mjs, which calls this function and judges what it gives.

import { connect } from "./node_modules/readywire/dist/index.js";

const TOPIC = "board/handover";

/**
 * Publishes numbers, so many at a time, follows them, and reads one answer after the other beside them, until the server
 * was replaced so many times: each time when the client has come to the next one, and so many more sends are acknowledged.
 */
globalThis.sendThroughRestarts = async (url, token, { restarts, between, window, prompt, pace }) => {
  const received = [];
  const changes = [];
  const sessions = new Set();
  let acknowledged = 0;
  let moves = 0;
  let wake = () => {};
  const until = async (condition) => {
    while (!condition()) await new Promise((resolve) => (wake = resolve));
  };

  const client = await connect(url, {
    token: () => token,
    onsession: ({ id }) => sessions.add(id),
  });
  client.addEventListener("statechange", ({ detail: { state, attempt, code } }) => {
    changes.push({ state, code });
    const arrived = state === "processing_ready" && attempt === moves + 2;
    if (arrived) moves++;
    // It has come to the next connection, or knows that the last one is gone.
    if (arrived || code !== null) globalThis.moved();
    wake();
  });

  const topic = client.subscribe(TOPIC);
  await topic.next();
  let gaps = 0;
  const following = (async () => {
    for await (const { type, payload, recovered } of topic) {
      if (type === "subscribed") gaps += recovered ? 0 : 1;
      else received.push(payload);
      wake();
    }
  })();

  let over = false;
  const restarting = (async () => {
    for (let restart = 1; restart <= restarts; restart++) {
      const before = acknowledged;
      await until(() => acknowledged >= before + between);
      await globalThis.restart();
      await until(() => moves === restart);
    }
    over = true;
  })();
  const answers = [];
  const reading = (async () => {
    while (!over) {
      const events = [];
      answers.push(events);
      for await (const { event } of client.stream("agent.run", { prompt, pace_ms: pace })) events.push(event);
    }
  })();

  const results = [];
  const underWay = new Set();
  while (!over) {
    const outcomes = [];
    const send = client
      .publish(TOPIC, "number", results.push(outcomes) - 1)
      .then(
        ({ id }) => outcomes.push(id),
        (error) => outcomes.push(`${error.name} ${error.code}: ${error.message}`),
      )
      .then(() => {
        underWay.delete(send);
        acknowledged++;
        wake();
      });
    underWay.add(send);
    if (underWay.size === window) await Promise.race(underWay);
  }
  await Promise.all([...underWay, restarting, reading]);
  await until(() => received.length >= results.length);
  topic.unsubscribe();
  await following;
  const before = [...changes];
  await client.close();
  return { results, received, gaps, answers, changes: before, sessions: [...sessions] };
};
