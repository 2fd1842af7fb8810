// Questions of the server, on their way to the application's handlers, and what those answer on its way back.

import { callSafely } from "./events.js";
import { decodePayload, encodePayload } from "./payloads.js";
import type { Encoded } from "./payloads.js";
import type { RawQuestionEvent } from "./raw.js";
import { Send } from "./sends.js";
import type { Give, Host, Owner } from "./sends.js";
import type { QuestionContext } from "./types.js";

type Handler = (payload: unknown, context: QuestionContext) => unknown;

/** The questions of one client. */
export class Questions {
  readonly #host: Host;
  readonly #handlers: Map<string, Handler>;
  /** Those whose handlers are at work. */
  readonly #open = new Map<number, AbortController>();

  constructor(host: Host, handlers: object = {}) {
    this.#host = host;
    this.#handlers = new Map(Object.entries(handlers));
  }

  /** Has `handler` answer the questions with this event, in place of the one before; gives what takes it back. */
  handle(event: string, handler: Handler): () => void {
    this.#handlers.set(event, handler);
    return () => {
      if (this.#handlers.get(event) === handler) this.#handlers.delete(event);
    };
  }

  /** The server asks. */
  asked({ question, offset, event }: RawQuestionEvent, payload: Encoded | undefined): void {
    const handler = this.#handlers.get(event);
    if (handler === undefined) return this.#refuse(question, event, "unhandled", `nothing here answers "${event}"`);
    const controller = new AbortController();
    this.#open.set(question, controller);
    void this.#answer(question, event, controller.signal, async () =>
      handler(decodePayload(payload), { signal: controller.signal, offset }),
    );
  }

  /** Nobody waits for the answer any more. */
  withdrawn(question: number): void {
    const controller = this.#open.get(question);
    this.#open.delete(question);
    // A listener that throws is the application's affair.
    callSafely(() => controller?.abort(), undefined);
  }

  /** The client is closed. */
  close(): void {
    for (const question of [...this.#open.keys()]) this.withdrawn(question);
  }

  async #answer(question: number, event: string, signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
    try {
      // There is no other JSON for nothing.
      const value = (await work()) ?? null;
      if (!signal.aborted) this.#reply(question, event, encodePayload(event, value));
    } catch (error) {
      if (!signal.aborted) this.#refuse(question, event, codeOf(error), messageOf(error));
    }
  }

  #reply(question: number, event: string, payload: Encoded | Blob): void {
    this.#begin(question, event, payload, (raw, { handle }, encoded) => {
      if (typeof encoded === "string") raw.reply(handle, question, encoded);
      else raw.replyBytes(handle, question, encoded);
    });
  }

  #refuse(question: number, event: string, code: string, message: string): void {
    this.#begin(question, event, null, (raw, { handle }) => raw.replyError(handle, question, code, message));
  }

  #begin(question: number, event: string, payload: Encoded | Blob | null, give: Give): void {
    this.#open.delete(question);
    const host = this.#host;
    const reply = new Reply(host, host.newHandle(), event, (error) => {
      // The server would wait, for the engine knows of no answer.
      if (payload !== null) this.#refuse(question, event, codeOf(error), messageOf(error));
    });
    host.begin(reply, payload ?? "null", (raw, send, encoded, waitedMs) => {
      reply.given = true;
      give(raw, send, encoded, waitedMs);
    });
  }
}

/** An answer under way. What becomes of it `sendstate` tells. */
class Reply extends Send {
  /** Whether the engine has it. */
  given = false;
  readonly #lost: (error: unknown) => void;

  constructor(owner: Owner, handle: number, event: string, lost: (error: unknown) => void) {
    super(owner, handle, event, undefined);
    this.#lost = lost;
  }

  get finished(): boolean {
    return this.decided;
  }

  protected succeed(): void {}

  protected fail(error: unknown): void {
    const { code } = error as { code?: unknown };
    if (code === "payload_invalid" || (!this.given && code !== "closed")) this.#lost(error);
  }

  protected abort(): void {}
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" && code !== "" ? code : "failed";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
