import { RefusedError } from "../errors.js";
import { ABSENT } from "./absent.js";

/** In the place of `../payloads.js`: JSON alone. */
export function encodePayload(event: string, payload: unknown): string {
  if (typeof event !== "string" || event === "") throw new TypeError("an event name must be a non-empty string");
  const isBlob = typeof Blob === "function" && payload instanceof Blob;
  if (ArrayBuffer.isView(payload) || payload instanceof ArrayBuffer || isBlob) {
    throw new RefusedError(`the payload of "${event}" is bytes, and this entry sends JSON alone`, ABSENT);
  }
  const text: string | undefined = JSON.stringify(payload);
  if (text === undefined) {
    throw new TypeError(`the payload of "${event}" is ${typeof payload}, which JSON cannot carry; use null for "nothing"`);
  }
  return text;
}

export function decodePayload(payload: string): unknown {
  return JSON.parse(payload);
}
