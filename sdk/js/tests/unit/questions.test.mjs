import assert from "node:assert/strict";
import { test } from "node:test";
import { connectWith } from "../../build/connect.js";
import { ScriptedEngine, load, outcome, ready, settle } from "./scripted.mjs";

/** What the engine was given as an answer. */
const answers = (engine) => engine.calls.filter(([name]) => name.startsWith("reply"));

test("what the handler resolves to answers, once it does", async () => {
  const { client, engine } = await ready();
  let answer;
  const asked = [];
  client.answer("confirm", (payload, { offset }) => {
    asked.push([payload, offset]);
    return new Promise((resolve) => (answer = resolve));
  });
  engine.question(7, "confirm", { tool: "rm" }, 40);
  await settle();
  assert.deepEqual(asked, [[{ tool: "rm" }, 40]]);
  assert.deepEqual(answers(engine), []);
  answer({ allowed: true });
  await settle();
  assert.deepEqual(answers(engine), [["reply", 1, 7, '{"allowed":true}']]);
});

test("a question is no message", async () => {
  const messages = [];
  const { client, engine } = await ready({ onmessage: (message) => messages.push(message) });
  client.answer("confirm", () => true);
  engine.question(1, "confirm", 1);
  engine.question(2, "else", 1);
  await settle();
  assert.deepEqual(messages, []);
});

test("what a handler gives without waiting answers, nothing is null, and bytes are bytes", async () => {
  const { client, engine } = await ready();
  client.answer("yes", () => true);
  client.answer("nothing", () => {});
  client.answer("bytes", () => new Uint8Array([0, 255]).buffer);
  client.answer("blob", () => new Blob(["ab"]));
  for (const [index, event] of ["yes", "nothing", "bytes", "blob"].entries()) {
    engine.question(index + 1, event, null);
    await settle();
  }
  assert.deepEqual(answers(engine), [
    ["reply", 1, 1, "true"],
    ["reply", 2, 2, "null"],
    ["replyBytes", 3, 3, new Uint8Array([0, 255])],
    ["replyBytes", 4, 4, new Uint8Array([97, 98])],
  ]);
});

test("what a handler throws is told, with a code of its own if it has one", async () => {
  const { client, engine } = await ready();
  client.answer("throws", () => {
    throw new Error("nobody is here");
  });
  client.answer("rejects", async () => {
    throw Object.assign(new Error("not today"), { code: "declined" });
  });
  client.answer("numbered", () => Promise.reject(Object.assign(new Error("a page's own"), { code: 20 })));
  client.answer("odd", () => Promise.reject("just so"));
  client.answer("unsayable", () => 1n);
  for (const [index, event] of ["throws", "rejects", "numbered", "odd"].entries()) engine.question(index + 1, event, null);
  await settle();
  assert.deepEqual(
    answers(engine).map(([name, , ...rest]) => [name, ...rest]),
    [
      ["replyError", 1, "failed", "nobody is here"],
      ["replyError", 2, "declined", "not today"],
      ["replyError", 3, "failed", "a page's own"],
      ["replyError", 4, "failed", "just so"],
    ],
  );
  engine.question(5, "unsayable", null);
  await settle();
  assert.deepEqual(answers(engine)[4].slice(2, 4), [5, "failed"], "what JSON cannot say is no answer");
});

test("what nobody answers is told at once, and a handler that was taken back answers no more", async () => {
  const { client, engine } = await ready();
  engine.question(1, "confirm", null);
  assert.deepEqual(answers(engine)[0].slice(0, 4), ["replyError", 1, 1, "unhandled"]);
  const takeBack = client.answer("confirm", () => 1);
  takeBack();
  engine.question(2, "confirm", null);
  assert.equal(answers(engine)[1][3], "unhandled");
  client.answer("confirm", () => "former");
  const other = client.answer("confirm", () => "latter");
  takeBack();
  engine.question(3, "confirm", null);
  await settle();
  assert.deepEqual(answers(engine)[2], ["reply", 3, 3, '"latter"']);
  other();
  engine.question(4, "constructor", null);
  assert.equal(answers(engine)[3][3], "unhandled", "names are not those of an object's own");
});

test("handlers among the options are there before anything comes", async () => {
  ScriptedEngine.onConstruct = (engine) => queueMicrotask(() => engine.question(1, "confirm", 1));
  try {
    await connectWith(load, "ws://localhost/ws", { resolveWhen: "dialling", questions: { confirm: (n) => n + 1 } });
    await settle();
    assert.deepEqual(answers(ScriptedEngine.latest), [["reply", 1, 1, "2"]]);
  } finally {
    ScriptedEngine.onConstruct = undefined;
  }
});

test("a question that is withdrawn stops its handler alone, and is answered no more", async () => {
  const { client, engine } = await ready();
  const signals = [];
  const finish = [];
  client.answer("confirm", (_, { signal }) => {
    signals.push(signal);
    return new Promise((resolve, reject) => finish.push({ resolve, reject }));
  });
  for (const offset of [1, 2, 3]) engine.question(offset, "confirm", null);
  engine.withdrawn(1);
  engine.withdrawn(2);
  engine.withdrawn(9);
  assert.deepEqual(signals.map((signal) => signal.aborted), [true, true, false]);
  assert.equal(signals[0].reason.name, "AbortError");
  finish[0].resolve("late");
  finish[1].reject(signals[1].reason);
  finish[2].resolve("in time");
  await settle();
  assert.deepEqual(answers(engine), [["reply", 1, 3, '"in time"']]);
});

test("what becomes of an answer is told as of any send, and a refusal bothers nobody", async () => {
  const states = [];
  const { client, engine } = await ready({ onsendstate: ({ event, state, code }) => states.push([event, state, code]) });
  client.answer("confirm", () => true);
  engine.question(1, "confirm", null);
  await settle();
  engine.sent(1, "in_flight", { id: 4 });
  engine.sent(1, "refused", { id: 4, code: "not_asked" });
  await settle();
  assert.deepEqual(states, [["confirm", "queued", null], ["confirm", "in_flight", null], ["confirm", "refused", "not_asked"]]);
  assert.equal(answers(engine).length, 1);
});

test("an answer that cannot be read is an error that is told", async () => {
  const { client, engine } = await ready();
  const blob = new Blob(["a"]);
  blob.arrayBuffer = () => Promise.reject(new Error("the file is gone"));
  client.answer("confirm", () => blob);
  engine.question(1, "confirm", null);
  await settle();
  const [, handle, question, code] = answers(engine)[0];
  assert.deepEqual([handle, question, code], [2, 1, "payload_unreadable"]);
});

test("closing stops every handler", async () => {
  const { client, engine } = await ready();
  let stopped;
  client.answer("confirm", (_, { signal }) => {
    stopped = new Promise((resolve) => signal.addEventListener("abort", resolve));
    return stopped.then(() => "late");
  });
  engine.question(1, "confirm", null);
  await settle();
  engine.closed();
  assert.equal((await outcome(stopped)).state, "resolved");
  await settle();
  assert.deepEqual(answers(engine), []);
});
