import { type Client, connect, type SendChange, type StateChange } from "readywire";

/** The events of this page: what it sends, and what it receives. */
export interface DemoEvents {
  "chat.say": { send: { room: string; text: string } };
  "chat.said": { receive: { from: string; text: string; at: unknown } };
  "agent.run": { send: { prompt: string; pace_ms: number; ask_ms?: number } };
  "agent.may": { asks: Permission; reply: boolean };
  upload: {
    send: { bytes: number; pace_ms: number };
    stream: Uint8Array;
    answer: { received: { bytes: number }; uploaded: { bytes: number; sha256: string } };
  };
  notify: { send: { subject: string; text: string } };
  notification: { receive: { text: string } };
  echo: { send: { text: string } };
}

/** What the agent wants to do, and how long it waits to hear whether it may. */
export interface Permission {
  tool: string;
  words: string[];
  within_ms: number;
}

export type DemoClient = Client<DemoEvents>;

/** Who on the page wants to hear what. */
export interface Listeners {
  dialling(): void;
  opened(client: DemoClient): void;
  state(change: StateChange): void;
  send(change: SendChange): void;
  message(event: string, payload: unknown): void;
  /** The server asks; the signal aborts when nobody waits for the answer any more. */
  asked(permission: Permission, signal: AbortSignal): Promise<boolean>;
  frame(direction: "in" | "out", text: string): void;
  failed(failure: unknown): void;
}

/** The address of a path on the server this page came from. */
export function socketAddress(path: string): URL {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return address;
}

/** Whether the server processes messages now, if perhaps not all of them. */
export function isReady({ state }: Pick<StateChange, "state">): boolean {
  return state === "processing_ready" || state === "degraded";
}

/** The page's one client, which may be replaced after it has closed for good. */
export class Connection {
  #client: Promise<DemoClient> | null = null;
  #opened = 0;

  constructor(
    private readonly token: () => string | null,
    private readonly listeners: Listeners,
  ) {}

  /** Starts a client. It resolves while still dialling, so that typing works from the first moment. */
  open(): void {
    const listeners = this.listeners;
    const former = this.#client;
    const number = ++this.#opened;
    const current = <A>(tell: (about: A) => void) => (about: A) => {
      if (number === this.#opened) tell(about);
    };
    listeners.dialling();
    const open = () =>
      connect<DemoEvents>(socketAddress("/ws"), {
        token: this.token,
        resolveWhen: "dialling",
        // A run of the agent goes on when this page is loaded again.
        carryOver: "demo",
        // Somebody is watching: no wait that outlasts their patience.
        backoff: { capMs: 4000 },
        questions: { "agent.may": (permission, { signal }) => listeners.asked(permission, signal) },
        onstatechange: current((change) => listeners.state(change)),
        onsendstate: current((change) => listeners.send(change)),
        onmessage: current((message) => listeners.message(String(message.event), message.payload)),
        onframe: current(({ direction, text, bytes }) =>
          listeners.frame(direction, bytes === undefined ? text : `${text} and ${bytes} bytes`),
        ),
      });
    // A page that was given another token leaves its former client, and hears no more of it.
    const left = former?.then((client) => client.close({ deadlineMs: 0 })).catch(() => {});
    this.#client = left === undefined ? open() : left.then(open);
    this.#client.then(current((client: DemoClient) => listeners.opened(client)), () => {});
    this.#client.catch(current((failure: unknown) => listeners.failed(failure)));
  }

  /** The client, as soon as it exists; it may be far from ready. */
  client(): Promise<DemoClient> {
    return this.#client ?? Promise.reject(new Error("Not connected: this page has no token yet."));
  }
}
