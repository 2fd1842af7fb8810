import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutTokens } from "../../build/redaction.js";

test("no token is shown, and everything else is", () => {
  const hello = (token) =>
    `{"type":"hello","auth":{"scheme":"bearer","token":"${token}"},"resume":{"session":"a","token":"${token}",` +
    `"attempt":1,"settled":0,"inbox":0},"unknown":[1,"token","b"]}`;
  const ready = (token) => `{"type":"ready","session":{"id":"a","token":"${token}"},"x":1}`;
  const auth = (token) => `{"token":"${token}","type":"auth"}`;
  for (const frame of [hello, ready, auth]) assert.equal(withoutTokens(frame("s3cret")), frame("…"));
});

test("however it is written", () => {
  for (const [frame, shown] of [
    ['{"type":"auth","token" \t:\r\n "s3cret" }', '{"type":"auth","token" \t:\r\n "…" }'],
    [String.raw`{"type":"auth","token":"a\"s3cret\\"}`, '{"type":"auth","token":"…"}'],
    [String.raw`{"type":"auth","token":"a\\\"s3cret","b":"c"}`, '{"type":"auth","token":"…","b":"c"}'],
    [String.raw`{"type":"auth","t\u006fken":"s3cret"}`, String.raw`{"type":"auth","t\u006fken":"…"}`],
    [String.raw`{"type":"auth","\u0074oken":"s3cret"}`, String.raw`{"type":"auth","\u0074oken":"…"}`],
    [String.raw`{"type":"\u0061uth","token":"s3cret"}`, String.raw`{"type":"\u0061uth","token":"…"}`],
    ['{"type":"auth","reason":"token","token":"s3cret"}', '{"type":"auth","reason":"token","token":"…"}'],
    [String.raw`{"type":"auth","reason":"a\\","token":"s3cret"}`, String.raw`{"type":"auth","reason":"a\\","token":"…"}`],
  ]) {
    assert.equal(withoutTokens(frame), shown);
  }
});

test("a frame that cannot be read gives nothing away", () => {
  for (const broken of [
    '{"type":"ready","session":{"token":"s3cret',
    '{"type":"ready","session":{"token":"s3cret"},',
    '{"type":"auth","token":"s3cret","token":"s3cret"}',
    '{"session":{"token":"s3cret"}}',
    '{"type":"auth","token":"s3cret\nand more"}',
    String.raw`{"type":7,"token":"s3cret\"`,
    String.raw`{"type":7,"token":"s3cret` + "\\",
  ]) {
    assert.doesNotMatch(withoutTokens(broken), /s3cret|more/, broken);
  }
});

test("hostile text takes no longer than other text", () => {
  for (const part of [String.raw`\"`, String.raw`\\`, '"', ":", " "]) {
    for (const frame of [`{"type":"auth","reason":"${part.repeat(200_000)}`, `{"type":"auth"${part.repeat(200_000)}`]) {
      assert.equal(withoutTokens(frame).length, frame.length);
    }
  }
});

test("what belongs to the application is not touched", () => {
  for (const frame of [
    '{"type":"send","id":1,"event":"e","payload":{"token":"mine"}}',
    '{"type":"message","offset":1,"payload":{"type":"auth","token":"mine"}}',
  ]) {
    assert.equal(withoutTokens(frame), frame);
  }
});
