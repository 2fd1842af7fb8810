// Payloads on their way to the engine and back: JSON text, or bytes.

/** Bytes, as an application may have them to send. What is received is always a `Uint8Array`. */
export type Binary = ArrayBuffer | ArrayBufferView | Blob;

/** A payload as the engine takes it. */
export type Encoded = string | Uint8Array;

/** A payload as the engine takes it, or a `Blob`, which has to be read first; throws a `TypeError` for what JSON cannot say. */
export function encodePayload(event: string, payload: unknown): Encoded | Blob {
  if (typeof event !== "string" || event === "") throw new TypeError("an event name must be a non-empty string");
  if (ArrayBuffer.isView(payload)) return new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload instanceof ArrayBuffer) return new Uint8Array(payload);
  if (isBlob(payload)) return payload;
  const text: string | undefined = JSON.stringify(payload);
  if (text === undefined) {
    throw new TypeError(`the payload of "${event}" is ${typeof payload}, which JSON cannot carry; use null for "nothing"`);
  }
  return text;
}

/** A payload as the application gets it. */
export function decodePayload(payload: Encoded | undefined): unknown {
  return typeof payload === "string" ? JSON.parse(payload) : payload;
}

export function isBlob(payload: unknown): payload is Blob {
  return typeof Blob === "function" && payload instanceof Blob;
}
