// What of a client outlives its page, so that the page that is loaded next goes on where this one stopped (clause
// `session.stored`): in `sessionStorage`, which a reload keeps, and under a Web Lock, since a duplicated tab gets a copy.

/** An answer that was open, and is again. */
export interface OpenAnswer {
  /** The id of the send that asked for it. */
  readonly id: number;
  /** What that send was. */
  readonly event: string;
}

/** What is stored: the engine's own text, and the answers that go on. */
interface Stored {
  readonly url: string;
  readonly session: string;
  readonly state: string;
  readonly answers: OpenAnswer[];
}

/** How long a page that is being left may take to let go of the session. */
const LOCK_PATIENCE_MS = 500;

/** The place where one client's session is kept. */
export class Keeper {
  readonly #place: string;
  readonly #url: string;
  #stored: Stored | null = null;
  #release: (() => void) | null = null;
  #answers: OpenAnswer[] = [];

  private constructor(name: string, url: string) {
    this.#place = `readywire:${name}`;
    this.#url = url;
  }

  /** Takes what the page before has left under `name`, if nobody else has it. Null where a page cannot keep anything. */
  static async open(name: string, url: string): Promise<Keeper | null> {
    if (!canKeep()) return null;
    const keeper = new Keeper(name, url);
    const stored = keeper.#read();
    if (stored !== null && (await keeper.#lock(stored.session, LOCK_PATIENCE_MS))) keeper.#takeUp(stored);
    return keeper;
  }

  /** What the engine begins with; null for a new session. */
  get state(): string | null {
    return this.#stored?.state ?? null;
  }

  /** The session that is stored. */
  get session(): string | null {
    return this.#stored?.session ?? null;
  }

  /** The answers that were open when the page was left. */
  get answers(): readonly OpenAnswer[] {
    return this.#stored?.answers ?? [];
  }

  /** Stores what the engine says, or forgets the session. */
  keep(state: string | null): void {
    if (state === null) {
      this.close();
      return;
    }
    const { session } = JSON.parse(state) as { session: string };
    // Drawn by the server just now: no other page knows it, so there is nobody to wait for.
    if (session !== this.#stored?.session) void this.#lock(session);
    this.#stored = { url: this.#url, session, state, answers: this.#answers };
    this.#write();
  }

  /** Stores which answers are open. */
  keepAnswers(answers: OpenAnswer[]): void {
    if (JSON.stringify(answers) === JSON.stringify(this.#answers)) return;
    this.#answers = answers;
    if (this.#stored === null) return;
    this.#stored = { ...this.#stored, answers };
    this.#write();
  }

  /** Forgets the session, and lets go of it. */
  close(): void {
    this.#stored = null;
    this.#release?.();
    this.#release = null;
    try {
      sessionStorage.removeItem(this.#place);
    } catch {
      // Storage that is switched off holds nothing, either.
    }
  }

  #takeUp(stored: Stored): void {
    this.#stored = stored;
    this.#answers = stored.answers;
  }

  async #lock(session: string, patienceMs?: number): Promise<boolean> {
    this.#release?.();
    const held = new Promise<void>((release) => (this.#release = release));
    const signal = patienceMs === undefined ? undefined : AbortSignal.timeout(patienceMs);
    return new Promise((resolve) => {
      navigator.locks
        .request(`readywire:${session}`, signal === undefined ? {} : { signal }, () => {
          resolve(true);
          return held;
        })
        .catch(() => resolve(false));
    });
  }

  #read(): Stored | null {
    try {
      const stored = JSON.parse(sessionStorage.getItem(this.#place) ?? "null") as Stored | null;
      // A session is for the server that granted it.
      return stored !== null && stored.url === this.#url && typeof stored.session === "string" ? stored : null;
    } catch {
      return null;
    }
  }

  #write(): void {
    try {
      sessionStorage.setItem(this.#place, JSON.stringify(this.#stored));
    } catch {
      // Full or switched off: the next page begins a new session.
    }
  }
}

/** A page has storage of its own and, in a secure context, locks; workers and Node have no `sessionStorage`. */
function canKeep(): boolean {
  try {
    return typeof sessionStorage !== "undefined" && typeof navigator.locks?.request === "function";
  } catch {
    // A page whose storage is forbidden throws at the mere look.
    return false;
  }
}
