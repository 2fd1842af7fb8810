// @ts-check
// Tokens signed with a secret that only the server knows, and tickets that are good for one use.

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";

/** @typedef {{ scheme: string, subject: string, expiresAt: number, id: string }} Claims */

/**
 * The token of a subject of the conformance suite.
 *
 * @param {Buffer} secret
 * @param {string} subject
 */
export function mint(secret, subject) {
  const expiresAt = Date.now() + HOUR_MS;
  switch (subject) {
    case "expired":
      return sign(secret, { scheme: "bearer", subject, expiresAt: Date.now() - HOUR_MS, id: randomUUID() });
    case "invalid":
      return sign(Buffer.from("a stranger's"), { scheme: "bearer", subject, expiresAt, id: randomUUID() });
    case "ticket":
      return sign(secret, { scheme: "ticket", subject: "alice", expiresAt, id: randomUUID() });
    default:
      return sign(secret, { scheme: "bearer", subject, expiresAt, id: randomUUID() });
  }
}

export class Verifier {
  #secret;
  /** @type {Map<string, { attempt: number, expiresAt: number }>} tickets that are spent, by the attempt that did it */
  #spent = new Map();

  /** @param {Buffer} secret */
  constructor(secret) {
    this.#secret = secret;
  }

  /**
   * @param {import("./server.mjs").Credential} credential
   * @param {number} attempt
   * @returns {import("./server.mjs").Identity | import("./server.mjs").TokenRefusal}
   */
  verify({ scheme, token }, attempt) {
    if (scheme !== "bearer" && scheme !== "ticket") return { code: 4104, reason: "the scheme is unknown" };
    const [claims, signature, ...rest] = token.split(".");
    const good = Buffer.from(signatureOf(this.#secret, claims));
    const given = Buffer.from(signature ?? "");
    if (rest.length > 0 || good.length !== given.length || !timingSafeEqual(good, given)) {
      return { code: 4104, reason: "the signature is wrong" };
    }
    /** @type {Claims} */
    const known = JSON.parse(Buffer.from(claims, "base64url").toString());
    if (known.scheme !== scheme) return { code: 4104, reason: "the token is meant for another scheme" };
    if (known.expiresAt <= Date.now()) return { code: 4102, reason: "the token has expired: ask for a new one" };
    if (scheme === "bearer") return { subject: known.subject, expiresAt: known.expiresAt };
    return this.#spend(known, attempt)
      ? { subject: known.subject }
      : { code: 4104, reason: "the ticket is spent: ask for a new one" };
  }

  /** @param {Claims} ticket @param {number} attempt */
  #spend({ id, expiresAt }, attempt) {
    for (const [other, use] of this.#spent) if (use.expiresAt <= Date.now()) this.#spent.delete(other);
    const spent = this.#spent.get(id);
    if (!spent) this.#spent.set(id, { attempt, expiresAt });
    return !spent || spent.attempt === attempt;
  }
}

const HOUR_MS = 3_600_000;

/** @param {Buffer} secret @param {Claims} claims */
function sign(secret, claims) {
  const text = Buffer.from(JSON.stringify(claims)).toString("base64url");
  return `${text}.${signatureOf(secret, text)}`;
}

/** @param {Buffer} secret @param {string} text */
const signatureOf = (secret, text) => createHmac("sha256", secret).update(text).digest("base64url");
