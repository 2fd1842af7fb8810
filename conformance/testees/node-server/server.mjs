// @ts-check
// A server of the Readywire protocol: what it asks of an application, the upgrade, and what its connections share.

import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { Failure } from "./answer.mjs";
import { Connection } from "./connection.mjs";
import { Violation } from "./frames.mjs";
import { MAX_MESSAGE_BYTES } from "./inbox.mjs";
import { Sessions } from "./session.mjs";
import { Startup } from "./startup.mjs";

/**
 * @typedef {import("node:http").IncomingMessage} Request
 * @typedef {import("./frames.mjs").Send} Send
 * @typedef {import("./session.mjs").Refusal} Refusal
 *
 * @typedef {{ subject: string, expiresAt?: number }} Identity
 * @typedef {{ code: number, reason: string }} TokenRefusal with 4102, 4104 or 4001
 * @typedef {{ scheme: string, token: string }} Credential
 *
 * @typedef {object} Event what happens to a send
 * @property {string} [needs] a service; while that is impaired, the send is refused
 * @property {(send: Send) => Refusal | undefined} [refuse] why it is not taken
 * @property {import("./answer.mjs").Handler} handle runs once it is taken
 *
 * @typedef {object} Application
 * @property {(credential: Credential, attempt: number) => Promise<Identity | TokenRefusal>} authenticate
 * @property {(subject: string) => import("./startup.mjs").Service[]} services that a connection of the subject needs
 * @property {ReadonlyMap<string, Event>} events
 */

export const DEFAULTS = {
  path: "/ws",
  /** Names, without a port, that the server answers to. */
  hosts: ["localhost", "127.0.0.1", "[::1]"],
  /** Origins let in besides the server's own. @type {string[]} */
  origins: [],
  /** Beyond Core. */
  levels: ["resume", "answers"],
  hello_timeout_ms: 3000,
  ready_timeout_ms: 30_000,
  heartbeat_interval_ms: 20_000,
  heartbeat_timeout_ms: 10_000,
  session_ttl_ms: 120_000,
  sessions_per_subject: 16,
  key_memory_ms: 120_000,
  preauth_connections: 64,
  drain_ms: 5000,
};

export class ReadywireServer {
  sessions;
  settings;
  /** The services that do not work. @type {Set<string>} */
  impaired = new Set();

  #application;
  #http = createServer((request, response) => this.#answerPlain(request, response));
  // UTF-8 is checked with the frames: the library would end the connection by 1007, without `bye`.
  #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    maxPayload: MAX_MESSAGE_BYTES,
    WebSocket: Socket,
  });
  /** @type {Map<Connection, string | undefined>} with the address of its other end */
  #connections = new Map();
  /** @type {Map<string, Startup>} by subject */
  #startups = new Map();
  #isDraining = false;

  /** @param {Application} application @param {Partial<typeof DEFAULTS>} [settings] */
  constructor(application, settings) {
    this.#application = application;
    this.settings = { ...DEFAULTS, ...settings };
    this.sessions = new Sessions(this.settings);
    this.#http.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** @param {number} port 0 for a free one @returns {Promise<string>} the address */
  listen(port, host = "127.0.0.1") {
    return new Promise((listens, fails) => {
      this.#http.once("error", fails);
      this.#http.listen(port, host, () => {
        const address = /** @type {import("node:net").AddressInfo} */ (this.#http.address());
        listens(`ws://${host}:${address.port}${this.settings.path}`);
      });
    });
  }

  /** @param {string} service @param {boolean} isImpaired */
  setImpaired(service, isImpaired) {
    if (this.impaired.has(service) === isImpaired) return;
    if (isImpaired) this.impaired.add(service);
    else this.impaired.delete(service);
    for (const connection of this.#connections.keys()) connection.tellImpaired();
  }

  /** Goes away: resolves when no connection is left, at the latest when the time for that is over. */
  async drain() {
    const { drain_ms } = this.settings;
    this.#isDraining = true;
    for (const connection of [...this.#connections.keys()]) connection.drain(drain_ms);
    const end = setTimeout(() => {
      for (const connection of [...this.#connections.keys()]) connection.end(4301, "the server is going away");
    }, drain_ms);
    while (this.#sockets.clients.size > 0) {
      const [socket] = this.#sockets.clients;
      await new Promise((closed) => socket.once("close", closed));
    }
    clearTimeout(end);
    this.#http.close();
    this.#http.closeAllConnections();
  }

  // What a connection asks.

  /** @param {Credential | undefined} credential @param {number} attempt */
  async authenticate(credential, attempt) {
    if (!credential) return { code: 4101, reason: "neither the hello nor the upgrade has a credential" };
    return this.#application.authenticate(credential, attempt);
  }

  /**
   * The start-up of a subject that is under way, that was left behind by a connection that went, or a new one.
   *
   * @param {string} subject
   */
  startup(subject) {
    const left = this.#startups.get(subject);
    if (left?.isOver) this.#startups.delete(subject);
    if (left) return left;
    const startup = new Startup(this.#application.services(subject), (isUsed) => {
      if (isUsed) this.#startups.delete(subject);
    });
    if (!startup.isOver) this.#startups.set(subject, startup);
    return startup;
  }

  /**
   * Whether a send is taken: its handler, or why not.
   *
   * @param {string} subject
   * @param {Send} send
   * @param {string | undefined} key
   * @param {number} running how many handlers of its session run
   * @returns {import("./answer.mjs").Handler | Refusal}
   */
  decide(subject, send, key, running) {
    if (key !== undefined && this.sessions.isKeyUsed(subject, key)) return endAsDuplicate;
    const event = this.#application.events.get(send.event);
    if (!event) return { code: "unknown_event", message: "nothing here handles this event", retry: false };
    const service = event.needs;
    if (service !== undefined && this.impaired.has(service)) {
      return { code: "service_impaired", message: `service \`${service}\` is impaired`, retry: true, service };
    }
    const refusal = event.refuse?.(send);
    if (refusal) return refusal;
    if (running >= MAX_RUNNING) return { code: "busy", message: "too much is under way", retry: true };
    if (key !== undefined) this.sessions.useKey(subject, key);
    return event.handle;
  }

  /** @param {Connection} connection that has ended */
  forget(connection) {
    this.#connections.delete(connection);
  }

  // The upgrade.

  /** @param {Request} request @param {import("node:stream").Duplex} socket @param {Buffer} head */
  #upgrade(request, socket, head) {
    const [status, headers] = this.#refusal(request) ?? [];
    if (status) {
      socket.on("error", () => socket.destroy());
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n${headers ?? ""}\r\n`);
      return;
    }
    const { isOffered, ...offer } = readOffer(request.headers["sec-websocket-protocol"]);
    // The library shall select what is left, and judge nothing of the rest.
    if (isOffered) request.headers["sec-websocket-protocol"] = PROTOCOL;
    else delete request.headers["sec-websocket-protocol"];
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const credential = readCredential(request.headers.authorization);
      const connection = new Connection(this, webSocket, { ...offer, credential, source: request.socket });
      this.#connections.set(connection, request.socket.remoteAddress);
      connection.open();
    });
  }

  /** @param {Request} request @returns {[status: string, headers?: string] | undefined} */
  #refusal(request) {
    if (!this.#isPath(request)) return ["404 Not Found"];
    if (!this.#isHost(request) || !this.#isOrigin(request)) return ["403 Forbidden"];
    const isVersion13 = request.headers["sec-websocket-version"] === "13";
    if (!isVersion13) return ["426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n"];
    const address = request.socket.remoteAddress;
    const strangers = [...this.#connections].filter(([other, from]) => from === address && !other.isAuthenticated);
    const isFull = strangers.length >= this.settings.preauth_connections;
    return this.#isDraining || isFull ? ["503 Service Unavailable", "Retry-After: 1\r\n"] : undefined;
  }

  /** @param {Request} request @param {import("node:http").ServerResponse} response */
  #answerPlain(request, response) {
    if (!this.#isPath(request)) response.writeHead(404);
    else if (request.method !== "GET") response.writeHead(405, { Allow: "GET" });
    else response.writeHead(426, { Upgrade: "websocket", Connection: "Upgrade" });
    response.end();
  }

  /** @param {Request} request */
  #isPath(request) {
    return request.url?.split("?")[0] === this.settings.path;
  }

  /** @param {Request} request */
  #isHost({ headers: { host } }) {
    const name = host?.toLowerCase().replace(/:\d*$/, "");
    return name !== undefined && this.settings.hosts.includes(name);
  }

  /** @param {Request} request whose host is known */
  #isOrigin({ headers: { origin, host } }) {
    if (origin === undefined || this.settings.origins.includes(origin)) return true;
    if (!/^https?:\/\/[^/]+$/.test(origin) || !URL.canParse(origin)) return false;
    const { protocol, host: authority } = new URL(origin);
    return authority === new URL(`${protocol}//${host}`).host;
  }
}

const PROTOCOL = "readywire.v1";
const HELLO_PREFIX = "readywire.hello.";
const MAX_ENTRY_BYTES = 4096;
const MAX_RUNNING = 1024;

/** The library ends a message that is too large by 1009, through this very method: the protocol says it by 4413. */
class Socket extends WebSocket {
  /** @param {number} [code] @param {string | Buffer} [reason] */
  close(code, reason) {
    if (code === 1009 && reason === undefined) this.emit("oversize");
    else super.close(code, reason);
  }
}

/** @type {import("./answer.mjs").Handler} */
const endAsDuplicate = async () => {
  throw new Failure("duplicate_key", "a send with this key was taken before");
};

/** @param {string} [header] the subprotocols offered */
function readOffer(header = "") {
  const offers = header.split(",").map((offer) => offer.trim());
  const entry = offers.find((offer) => offer.startsWith(HELLO_PREFIX));
  return {
    isOffered: offers.includes(PROTOCOL),
    speaksReadywire: offers[0] === PROTOCOL,
    hello: entry === undefined ? undefined : decodeHello(entry),
  };
}

/** @param {string} entry */
function decodeHello(entry) {
  if (entry.length > MAX_ENTRY_BYTES) return new Violation("upgrade.hello", "the entry is too long");
  const encoded = entry.slice(HELLO_PREFIX.length);
  const bytes = Buffer.from(encoded, "base64url");
  return bytes.toString("base64url") === encoded ? bytes : new Violation("upgrade.hello", "not base64url");
}

/** @param {string} [header] `Authorization` */
function readCredential(header) {
  if (header === undefined) return undefined;
  const [, scheme, token] = /^(\S*) *(.*)$/.exec(header) ?? ["", "", ""];
  return { scheme: scheme.toLowerCase() === "bearer" ? "bearer" : "unknown", token };
}
