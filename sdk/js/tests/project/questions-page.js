// The page's half of questions.mjs, which calls these functions and judges what they give.

import { connect } from "./node_modules/readywire/dist/index.js";

const QUICK = { firstMs: 10, baseMs: 10, capMs: 50 };
const CARRY = { carryOver: "questions" };

/** Has the server ask this client; what its asker was answered. */
const ask = (client, payload, more = {}) => client.request("ask", { payload, ...more });

/** Is asked so many questions, one after the other, and is cut while it is at each; what was asked, and what was answered. */
globalThis.answerOverCuts = async (url, token, count) => {
  let attempts = 0;
  const asked = [];
  const client = await connect(url, {
    token: () => token,
    backoff: QUICK,
    onstatechange: ({ attempt }) => (attempts = attempt),
    questions: {
      confirm: async (number) => {
        asked.push(number);
        await globalThis.cut();
        return number % 2 === 0 ? { number } : Uint8Array.of(number);
      },
    },
  });
  const answered = [];
  for (let number = 0; number < count; number++) {
    const answer = await ask(client, number);
    answered.push(answer instanceof Uint8Array ? answer[0] : answer.number);
  }
  await client.close();
  return { asked, answered, attempts };
};

/** Does not answer in time; how the handler was stopped, and what its asker was told. */
globalThis.tooLate = async (url, token, deadlineMs) => {
  const client = await connect(url, { token: () => token });
  const stopped = new Promise((resolve) => {
    client.answer("confirm", async (_, { signal }) => {
      await new Promise((over) => signal.addEventListener("abort", over));
      resolve(signal.reason.name);
      return "late";
    });
  });
  const told = await ask(client, null, { deadline_ms: deadlineMs });
  const reason = await stopped;
  await client.close();
  return { reason, told };
};

/** What is told of a question without a handler, and of one whose handler says no. */
globalThis.unanswered = async (url, token) => {
  const client = await connect(url, { token: () => token });
  const told = [await ask(client, 1)];
  client.answer("confirm", () => {
    throw Object.assign(new Error("not today"), { code: "declined" });
  });
  told.push(await ask(client, 2));
  await client.close();
  return told;
};

globalThis.asked = 0;

/** Is asked, and has nothing to say; the page is left meanwhile. */
globalThis.begin = async (url, token) => {
  const confirm = () => {
    globalThis.asked++;
    return new Promise(() => {});
  };
  const client = await connect(url, { token: () => token, ...CARRY, questions: { confirm } });
  void (async () => {
    for await (const _ of client.stream("ask", { payload: 1 }));
  })();
};

/** The next page, which answers nothing; what the asker was told. */
globalThis.goOn = async (url, token) => {
  const client = await connect(url, { token: () => token, backoff: QUICK, ...CARRY });
  for await (const { payload } of client.attach(client.openAnswers[0].id)) {
    await client.close();
    return payload;
  }
};
