// The page's half of binary.mjs, which calls these functions and judges what they give.

import { connect } from "./node_modules/readywire/dist/index.js";

/** What came, so that it passes to the test as JSON; `own` if nobody else holds its memory. */
function told(payload) {
  const { name } = payload.constructor;
  return { type: name, own: payload.byteLength === payload.buffer.byteLength, bytes: [...payload] };
}

/** Sends bytes in everything that bytes can be in, and gives what each is answered by. */
globalThis.echo = async (url, token) => {
  const client = await connect(url, { token: () => token });
  const { buffer } = Uint8Array.of(0, 255, 127, 128);
  const payloads = [
    buffer,
    new Uint8Array(buffer, 1, 2),
    new DataView(buffer, 2),
    new Blob([Uint8Array.of(0xc3, 0x28)]),
    new File(["null"], "null.txt"),
    new ArrayBuffer(0),
  ];
  const requests = payloads.map((payload) => client.request("echo", payload));
  const json = client.request("echo", { text: "beside them" });
  const answers = (await Promise.all(requests)).map(told);
  const result = { answers, json: await json };
  await client.close();
  return result;
};

/** Publishes a `Blob` and JSON in turns, is cut now and then, and gives all that it hears of them. */
globalThis.publish = async (url, token, rounds) => {
  let attempts = 0;
  const client = await connect(url, {
    token: () => token,
    backoff: { firstMs: 10, baseMs: 10, capMs: 50 },
    onstatechange: ({ attempt }) => (attempts = attempt),
  });
  const topic = client.subscribe("board/files");
  await topic.next();
  const heard = (async () => {
    const news = [];
    let gaps = 0;
    for await (const { type, recovered, event, payload } of topic) {
      if (type === "subscribed") gaps += recovered ? 0 : 1;
      else news.push([event, payload instanceof Uint8Array ? [...payload] : payload]);
      if (news.length === rounds * 2) break;
    }
    return { news, gaps };
  })();
  for (let round = 0; round < rounds; round++) {
    const file = client.publish("board/files", "file", new Blob([new Uint8Array(round * 10).fill(round)]));
    if (round % 5 === 2) await globalThis.cut();
    await file;
    await client.publish("board/files", "note", { round });
  }
  const result = { ...(await heard), attempts };
  await client.close();
  return result;
};
