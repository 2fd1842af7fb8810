// The page's half of streams.mjs, which calls these functions and judges what they give.

import { connect } from "./node_modules/readywire/dist/index.js";

/** JSON, bytes and a `Blob` in turns, each with its number in it. */
function part(number) {
  if (number % 3 === 0) return { number };
  const bytes = Uint8Array.of(number >> 8, number & 255);
  return number % 3 === 1 ? bytes : new Blob([bytes]);
}

/** The number in what came back. */
function numberIn(payload) {
  return payload instanceof Uint8Array ? (payload[0] << 8) | payload[1] : payload.number;
}

/** Writes so many parts, is cut now and then, and gives the numbers that came back. */
globalThis.relay = async (url, token, count, cutEvery) => {
  let attempts = 0;
  const client = await connect(url, {
    token: () => token,
    backoff: { firstMs: 10, baseMs: 10, capMs: 50 },
    onstatechange: ({ attempt }) => (attempts = attempt),
  });
  const stream = client.openStream("relay", {});
  const writing = (async () => {
    for (let number = 0; number < count; number++) {
      await stream.write(part(number));
      if (number % cutEvery === cutEvery - 1) await globalThis.cut();
    }
    await stream.end();
  })();
  const numbers = [];
  for await (const { event, payload } of stream) if (event === "part") numbers.push(numberIn(payload));
  await writing;
  await client.close();
  return { numbers, attempts };
};

/** Writes to a handler that takes its time, from a source that has everything at once; how far ahead it was asked. */
globalThis.pace = async (url, token, count) => {
  const client = await connect(url, { token: () => token });
  let [asked, back, ahead] = [0, 0, 0];
  async function* source() {
    for (; asked < count; ) {
      asked++;
      ahead = Math.max(ahead, asked - back);
      yield { number: asked };
    }
  }
  for await (const { event } of client.openStream("relay", { pace_ms: 2 }, { from: source() })) if (event === "part") back++;
  await client.close();
  return { asked, back, ahead };
};

/** Stops after some parts came back; what becomes of a later write, and of the next stream. */
globalThis.stop = async (url, token) => {
  const client = await connect(url, { token: () => token });
  const stream = client.openStream("relay", {});
  await stream.write(1);
  for await (const _ of stream) break;
  const late = await stream.write(2).then(
    () => null,
    (error) => error.code,
  );
  const next = [];
  for await (const { payload } of client.openStream("relay", {}, { from: ["a", "b"] })) next.push(payload);
  await client.close();
  return { late, next };
};
