// Bytes in a browser, against the real server: sent, answered and published, whatever they are in, and over cuts.
//
// It takes the same variables as package.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, startPacked } from "./packed.mjs";

const DEADLINE = { timeout: 120_000 };
const ROUNDS = 20;

let packed;
before(async () => {
  packed = await startPacked(["--faults"]);
}, DEADLINE);
after(() => packed?.stop(), DEADLINE);

/** Opens the page, and keeps what its sockets carry, as it is. */
async function open(t) {
  const { page, seen: messages } = await openPage(packed, t, "/binary.html", (opened) => {
    const carried = [];
    opened.on("websocket", (socket) => {
      socket.on("framesent", ({ payload }) => carried.push(["out", payload]));
      socket.on("framereceived", ({ payload }) => carried.push(["in", payload]));
    });
    return carried;
  });
  return { page, messages, token: await packed.server.token("alice") };
}

/** The envelopes of one direction: each frame, and the bytes beside it. */
function envelopes(messages, direction) {
  return messages
    .filter(([way, payload]) => way === direction && typeof payload !== "string")
    .map(([, message]) => {
      const end = 4 + message.readUInt32BE();
      return [JSON.parse(message.subarray(4, end).toString()), [...message.subarray(end)]];
    });
}

test("an ArrayBuffer, a view, a Blob and no bytes at all come back as the bytes that they are", DEADLINE, async (t) => {
  const { page, messages, token } = await open(t);
  const { answers, json } = await page.evaluate((given) => globalThis.echo(...given), [packed.server.url, token]);
  const expected = [[0, 255, 127, 128], [255, 127], [127, 128], [0xc3, 0x28], [110, 117, 108, 108], []];
  assert.deepEqual(answers, expected.map((bytes) => ({ type: "Uint8Array", own: true, bytes })));
  assert.deepEqual(json, { text: "beside them" });
  const out = envelopes(messages, "out");
  assert.deepEqual(out.map(([, bytes]) => bytes), expected);
  assert.ok(out.every(([frame]) => frame.type === "send" && frame.answer && !("payload" in frame)));
  const back = envelopes(messages, "in");
  assert.deepEqual(back.map(([frame, bytes]) => [frame.re, bytes]), out.map(([frame, bytes]) => [frame.id, bytes]));
});

test(`bytes are published and followed over ${ROUNDS / 5} cuts: each once, in order with JSON`, DEADLINE, async (t) => {
  const { page, messages, token } = await open(t);
  await page.exposeFunction("cut", () => packed.server.fault({ cut: true }));
  const { news, gaps, attempts } = await page.evaluate(
    (given) => globalThis.publish(...given),
    [packed.server.url, token, ROUNDS],
  );
  const expected = Array.from({ length: ROUNDS }, (_, round) => [["file", Array(round * 10).fill(round)], ["note", { round }]]);
  assert.deepEqual(news, expected.flat());
  assert.equal(gaps, 0, "nothing is missing");
  assert.ok(attempts > ROUNDS / 5, `${attempts} attempts`);
  const out = envelopes(messages, "out").map(([frame]) => frame);
  assert.ok(out.length >= ROUNDS && out.every(({ type, topic }) => type === "send" && topic === "board/files"));
  const back = envelopes(messages, "in").map(([frame]) => frame);
  assert.ok(back.length >= ROUNDS && back.every(({ type, topic }) => type === "publication" && topic === "board/files"));
});
