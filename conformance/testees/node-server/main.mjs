#!/usr/bin/env node
// @ts-check
// The application that the conformance suite knows: its subjects, events and settings. See CERTIFY_SERVER.md.

import { readFileSync } from "node:fs";
import { setImmediate, setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Failure } from "./answer.mjs";
import { member } from "./json.mjs";
import { ReadywireServer } from "./server.mjs";
import { mint, Verifier } from "./tokens.mjs";

/**
 * @typedef {import("./server.mjs").Event} Event
 * @typedef {import("./server.mjs").ReadywireServer} Server
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "secret-file": { type: "string", default: "secret" },
    levels: { type: "string", default: "resume answers" },
    port: { type: "string", default: "0" },
    subject: { type: "string", default: "alice" },
  },
});
const secret = readFileSync(values["secret-file"]);

if (positionals[0] === "token") console.log(mint(secret, values.subject));
else await serve();

async function serve() {
  const verifier = new Verifier(secret);
  /** @type {Map<string, Event>} */
  const events = new Map();
  const server = new ReadywireServer(
    { authenticate: async (credential, attempt) => verifier.verify(credential, attempt), services, events },
    { drain_ms: 2000, levels: values.levels.split(" "), ...JSON.parse(process.env.READYWIRE_CONFORMANCE ?? "{}") },
  );
  for (const [name, event] of Object.entries(eventsOf(server))) events.set(name, event);
  console.log(`listening on ${await server.listen(Number(values.port))}`);
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => server.drain().then(() => process.exit()));
}

/** @param {string} subject */
function services(subject) {
  switch (subject) {
    case "slow":
      return [
        { name: "index", start: () => setTimeout(150) },
        { name: "search", start: () => setTimeout(300) },
      ];
    case "failing":
      return [{ name: "index", start: () => Promise.reject(new Error("no index")) }];
    case "stuck":
      return [{ name: "index", start: () => new Promise(() => {}) }];
    default:
      return [];
  }
}

/** @param {Server} server @returns {Record<string, Event>} */
function eventsOf(server) {
  /** @type {Map<string, number>} */
  const tallies = new Map();
  /** @type {Event} */
  const echo = { handle: (send, answer) => answer.end(send.event, send.payload) };
  return {
    echo,
    needy: { ...echo, needs: "search" },
    count: {
      handle: async (send, answer) => {
        if (!send.answer) return;
        const { signal } = answer;
        const { to = 0, pace_ms = 0 } = object(send.payload);
        for (let number = 1; number <= to; number++) {
          await (pace_ms > 0 ? setTimeout(pace_ms, null, { signal }) : setImmediate(null, { signal }));
          await answer.part("number", String(number));
        }
      },
    },
    tally: {
      handle: (send, answer) => {
        const { name } = object(send.payload);
        const count = (tallies.get(name) ?? 0) + 1;
        tallies.set(name, count);
        return answer.end("tally", JSON.stringify({ count }));
      },
    },
    refuse: {
      refuse: () => ({ code: "refused", message: "this event is always refused" }),
      handle: async () => {},
    },
    fail: {
      handle: async () => {
        throw new Failure("failed", "this event always fails");
      },
    },
    tell: {
      handle: async (send, answer) => {
        const event = String(object(send.payload).event ?? "");
        const payload = member(send.payload ?? "null", "payload");
        const sessions = server.sessions.of(answer.subject);
        await Promise.all(sessions.map((session) => session.inbox.append({ event, payload })));
      },
    },
    impair: {
      handle: async (send) => server.setImpaired("search", object(send.payload).on === true),
    },
  };
}

/** @param {string | undefined} payload @returns {Record<string, any>} empty if it is no object */
function object(payload = "null") {
  const value = JSON.parse(payload);
  return typeof value === "object" && value !== null ? value : {};
}
