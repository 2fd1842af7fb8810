// @ts-check
// The frames that a client may send, and how they break the rules on messages. The shapes are those of PROTOCOL.md.

import { isUtf8 } from "node:buffer";
import { assertObject, scan } from "./json.mjs";

/**
 * @typedef {{ type: "hello", client?: { name: string, version?: string }, auth?: { scheme?: string, token: string },
 *   capabilities?: string[], window?: Window, resume?: Resume }} Hello
 * @typedef {{ messages: number, bytes: number }} Window
 * @typedef {{ session: string, token: string, attempt: number, settled?: number, inbox?: number }} Resume
 * @typedef {{ type: "send", id: number, event: string, payload?: string, answer?: boolean, key?: string }} Send
 *   its payload is JSON text, as it was written
 * @typedef {Hello | Send | { type: "taken", offset: number } | { type: "cancel", re: number }
 *   | { type: "subscribe", topic: string } | { type: "unsubscribe", topic: string } | { type: "history", topic: string }
 *   | { type: "auth", token: string }
 *   | { type: "ping", nonce: string } | { type: "pong", nonce: string } | { type: "bye", code: number }} ClientFrame
 */

/** What the other end did against a rule: it ends the connection. */
export class Violation extends Error {
  /**
   * @param {string} clause
   * @param {string} found never holds text of the other end
   * @param {number} [code]
   */
  constructor(clause, found, code = 4400) {
    super(`${clause}: ${found}`);
    this.clause = clause;
    this.code = code;
  }
}

/**
 * @param {Buffer} bytes of a text message
 * @returns {ClientFrame}
 */
export function readFrame(bytes) {
  if (!isUtf8(bytes)) throw new Violation("frame.malformed", "not UTF-8");
  const text = bytes.toString("utf8");
  try {
    assertObject(text);
  } catch {
    throw new Violation("frame.malformed", "not one JSON object");
  }
  if (scan(text).depth > MAX_DEPTH) throw new Violation("frame.depth", `nested deeper than ${MAX_DEPTH}`);
  const members = membersOf(text);
  const type = string(members.get("type") ?? "null");
  if (SERVER_TYPES.has(type)) throw new Violation("frame.direction", `a client sends no ${type}`);
  if (!Object.hasOwn(SHAPES, type)) throw new Violation("frame.type", "no such type");
  return /** @type {ClientFrame} */ ({ type, ...fieldsOf(members, SHAPES[type]) });
}

const MAX_DEPTH = 64;
const MAX_MEMBERS = 64;

/** @typedef {(text: string) => unknown} Reader */
/** @typedef {Record<string, Reader>} Shape names that end in `?` may be absent */

/** @type {Reader} */
const verbatim = (text) => text;

/** @param {string} text @returns {string} */
const string = (text) => {
  if (!text.startsWith('"')) throw new Violation("frame.field", "not a string");
  const value = JSON.parse(text);
  if (!value.isWellFormed()) throw new Violation("frame.malformed", "half of a surrogate pair");
  return value;
};

/** @type {Reader} */
const strings = (text) => {
  if (!text.startsWith("[")) throw new Violation("frame.field", "not a list");
  const values = JSON.parse(text);
  if (!values.every((/** @type {unknown} */ value) => typeof value === "string" && value.isWellFormed())) {
    throw new Violation("frame.field", "not a list of strings");
  }
  return values;
};

/** @type {Reader} */
const integer = (text) => {
  if (!/^\d{1,16}$/.test(text) || Number(text) > Number.MAX_SAFE_INTEGER) {
    throw new Violation("frame.integer", "not plain digits below 2^53");
  }
  return Number(text);
};

/** @type {Reader} */
const boolean = (text) => {
  if (text !== "true" && text !== "false") throw new Violation("frame.field", "neither true nor false");
  return text === "true";
};

/** @param {Shape} shape @returns {Reader} */
const object = (shape) => (text) => {
  if (!text.startsWith("{")) throw new Violation("frame.field", "not an object");
  return fieldsOf(membersOf(text), shape);
};

/** @type {Record<string, Shape>} */
const SHAPES = {
  hello: {
    "client?": object({ name: string, "version?": string }),
    "auth?": object({ "scheme?": string, token: string }),
    "capabilities?": strings,
    "window?": object({ messages: integer, bytes: integer }),
    "resume?": object({ session: string, token: string, attempt: integer, "settled?": integer, "inbox?": integer }),
  },
  send: {
    id: integer,
    event: string,
    "payload?": verbatim,
    "answer?": boolean,
    "key?": string,
    "topic?": string,
    "stream?": boolean,
    "of?": integer,
    "end?": boolean,
    "re?": integer,
    "error?": object({ code: string, "message?": string }),
  },
  taken: { offset: integer, "topic?": string },
  cancel: { re: integer },
  subscribe: { topic: string, "offset?": integer, "epoch?": string, "last?": integer },
  unsubscribe: { topic: string },
  history: { request: integer, topic: string, limit: integer, "before?": integer, "epoch?": string },
  auth: { "scheme?": string, token: string },
  ping: { nonce: string },
  pong: { nonce: string },
  bye: { code: integer, "reason?": string, "class?": string, "retry_after_ms?": integer, "clause?": string },
};

const SERVER_TYPES = new Set(
  ["stage", "ready", "ack", "nack", "message", "subscribed", "unsubscribed", "publication", "page", "read", "drain"],
);

/** @param {string} text of an object that the protocol defines */
function membersOf(text) {
  const { members } = scan(text);
  if (members.length > MAX_MEMBERS) throw new Violation("frame.malformed", `more than ${MAX_MEMBERS} members`);
  const map = new Map(members);
  if (map.size < members.length) throw new Violation("frame.duplicate_key", "a key stands twice");
  if (!members.every(([key]) => key.isWellFormed())) throw new Violation("frame.malformed", "half of a surrogate pair");
  return map;
}

/** @param {Map<string, string>} members @param {Shape} shape */
function fieldsOf(members, shape) {
  /** @type {Record<string, unknown>} */
  const fields = {};
  for (const [pattern, read] of Object.entries(shape)) {
    const name = pattern.replace("?", "");
    const text = members.get(name);
    const absent = text === undefined || (text === "null" && read !== verbatim);
    if (!absent) fields[name] = read(text);
    else if (name === pattern) throw new Violation("frame.field", `${name} is missing`);
  }
  return fields;
}
