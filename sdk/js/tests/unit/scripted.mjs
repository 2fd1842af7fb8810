// A scripted engine: it records what it is told, and reports what the test wants.

import { connectWith } from "../../build/connect.js";

export class ScriptedEngine {
  calls = [];
  freed = false;

  constructor(url, options, onEvent) {
    Object.assign(this, { url, options: JSON.parse(options), onEvent });
    ScriptedEngine.latest = this;
    ScriptedEngine.onConstruct?.(this);
  }

  provideToken(...answer) {
    this.calls.push(["provideToken", ...answer]);
  }
  failToken(...answer) {
    this.calls.push(["failToken", ...answer]);
  }
  send(...call) {
    this.calls.push(["send", ...call]);
    this.onSend?.(...call);
  }
  sendBytes(handle, event, payload, ...rest) {
    // The engine copies what it is given.
    this.calls.push(["sendBytes", handle, event, payload.slice(), ...rest]);
  }
  write(...call) {
    this.calls.push(["write", ...call]);
    this.onWrite?.(...call);
  }
  writeBytes(handle, stream, payload) {
    this.calls.push(["writeBytes", handle, stream, payload.slice()]);
    this.onWrite?.(handle, stream, payload, false);
  }
  reply(...call) {
    this.calls.push(["reply", ...call]);
  }
  replyBytes(handle, question, payload) {
    this.calls.push(["replyBytes", handle, question, payload.slice()]);
  }
  replyError(...call) {
    this.calls.push(["replyError", ...call]);
  }
  subscribe(...call) {
    this.calls.push(["subscribe", ...call]);
  }
  history(...call) {
    this.calls.push(["history", ...call]);
  }
  cancel(handle) {
    this.calls.push(["cancel", handle]);
    this.onCancel?.(handle);
  }
  abandon(handle) {
    this.calls.push(["abandon", handle]);
    this.onAbandon?.(handle);
  }
  close(deadlineMs) {
    this.calls.push(["close", deadlineMs]);
    this.onClose?.(deadlineMs);
  }
  wake() {
    this.calls.push(["wake"]);
  }
  free() {
    this.freed = true;
  }

  named(name) {
    return this.calls.filter((call) => call[0] === name);
  }

  report(event, payload) {
    const bytes = payload instanceof Uint8Array;
    this.onEvent(JSON.stringify(event), bytes || payload === undefined ? payload : JSON.stringify(payload));
  }
  state(state, more = {}) {
    const previous = this.previous ?? "connecting";
    this.previous = state;
    this.report({
      type: "state", state, previous, pending: [], impaired: [], reason: null, connection: "c1", attempt: 1, handover: false,
      retryInMs: null, code: null, ...more,
    });
  }
  becomeReady() {
    for (const state of ["accepted", "authenticated", "services_ready", "processing_ready"]) this.state(state);
    this.report({ type: "session", id: "s1", resumed: false });
  }
  sent(handle, state, more = {}) {
    this.report({ type: "send", handle, state, id: null, code: null, message: null, retry: false, stage: "processing_ready", ...more });
  }
  message(offset, event, payload) {
    this.report({ type: "message", offset, event }, payload);
  }
  question(question, event, payload, offset = question) {
    this.report({ type: "question", question, offset, event }, payload);
  }
  withdrawn(question) {
    this.report({ type: "withdrawn", question });
  }
  answer(handle, offset, event, payload, more = {}) {
    this.report({ type: "answer", handle, offset, event, end: false, error: null, ...more }, payload);
  }
  subscribed(handle, more) {
    this.report({ type: "subscribed", handle, offset: 0, head: 0, epoch: "e", recovered: true, ...more });
  }
  publication(handle, offset, event, payload) {
    this.report({ type: "publication", handle, offset, event }, payload);
  }
  paged(handle, offset, event, payload) {
    this.report({ type: "paged", handle, offset, event }, payload);
  }
  page(handle, more) {
    this.report({ type: "page", handle, offset: 0, epoch: "e", head: 0, more: false, ...more });
  }
  unsubscribed(handle, code, retry = false) {
    this.report({ type: "unsubscribed", handle, offset: 0, code, retry });
  }
  closed(more = {}) {
    this.report({
      type: "closed", code: 1000, reason: "", clause: null, stage: "processing_ready", pending: [],
      retryable: false, remedy: "", ...more,
    });
  }
}

export const load = async () => ScriptedEngine;

/** A client at `dialling`, and its engine. */
export async function dial(options = {}) {
  const client = await connectWith(load, "ws://localhost/ws", { ...options, resolveWhen: "dialling" });
  return { client, engine: ScriptedEngine.latest };
}

/** A client that is ready, and its engine. */
export async function ready(options = {}) {
  const both = await dial(options);
  both.engine.becomeReady();
  return both;
}

/** Lets everything run that is due now; no clock is involved. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** What a promise has come to by now. */
export async function outcome(promise) {
  let found = { state: "pending" };
  promise.then(
    (value) => (found = { state: "resolved", value }),
    (error) => (found = { state: "rejected", error }),
  );
  await settle();
  return found;
}
