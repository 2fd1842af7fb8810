import type { AnswerPart, StateChange } from "readywire";
import { type Connection, isReady } from "./connection";
import { explain, part } from "./page";
import type { SendList } from "./sends";

/** About how many parts a file goes in, but none is smaller than a kilobyte. */
const PARTS = 100;
const SMALLEST = 1024;
/** The server rests so long behind each, or nobody could cut the connection in the middle. */
const PACE_MS = 40;
const LARGEST_FILE = 32 << 20;

/** A file on its way to the server, as a stream of parts. */
export class Upload {
  readonly #progress = part("upload-progress", HTMLProgressElement);
  readonly #read = part("upload-read", HTMLElement);
  readonly #text = part("upload-state", HTMLElement);
  readonly #send = part("upload-send", HTMLButtonElement);
  readonly #stop = part("upload-stop", HTMLButtonElement);
  #abort: AbortController | null = null;
  #ready = false;

  constructor(
    private readonly connection: Connection,
    private readonly sends: SendList,
  ) {
    const chosen = part("upload-file", HTMLInputElement);
    part("upload-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#abort === null) void this.#start(chosen.files?.[0] ?? madeUp());
    });
    this.#stop.addEventListener("click", () => this.#abort?.abort());
  }

  /** An upload goes on when the server is ready. */
  state(change: StateChange): void {
    this.#ready = isReady(change);
    if (this.#abort !== null && change.state !== "closed") this.#tell();
  }

  /** Stops an upload of the page before, which alone had its bytes. */
  abandon(answer: AsyncIterableIterator<AnswerPart, undefined>): void {
    void answer.return?.();
    this.#text.textContent = "The upload ended with the page that had its bytes.";
  }

  async #start(file: File): Promise<void> {
    if (file.size > LARGEST_FILE) {
      this.#text.textContent = `This demo takes no file over ${counted(LARGEST_FILE)}.`;
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    this.#busy(true);
    this.#show(0, file.size);
    this.#tell();
    try {
      const client = await this.connection.client();
      this.sends.expect("upload", file.name);
      const size = Math.max(SMALLEST, Math.ceil(file.size / PARTS));
      const from = parts(file, size);
      const answer = client.openStream("upload", { bytes: file.size, pace_ms: PACE_MS }, { from, signal: abort.signal });
      for await (const news of answer) {
        this.#show(news.payload.bytes, file.size);
        if (news.event === "uploaded") this.#end(await this.#compare(file, news.payload.sha256));
      }
      if (this.#abort !== null) this.#end("The server ended it, and did not say what it has read.");
    } catch (failure) {
      this.#end(abort.signal.aborted ? "Cancelled." : `Failed: ${explain(failure)}`);
    }
  }

  #tell(): void {
    const text = this.#ready
      ? "On its way. Cut the connection, and watch it go on."
      : "Held back until the server is ready; then it goes on where it was.";
    if (this.#text.textContent !== text) this.#text.textContent = text;
  }

  #show(read: number, size: number): void {
    this.#progress.max = Math.max(1, size);
    this.#progress.value = read;
    this.#read.textContent = `${counted(read)} of ${counted(size)} read by the server`;
  }

  /** What the server says to have read, beside what is here. */
  async #compare(file: File, theirs: string): Promise<string> {
    // Only a page that came from this machine, or over TLS, can tell.
    const ours: string | null = isSecureContext ? await digestOf(file) : null;
    if (ours === null) return `All there. SHA-256 at the server: ${theirs}`;
    return ours === theirs ? `All there, and the same: SHA-256 ${theirs}` : `NOT the same: ${theirs} there, ${ours} here`;
  }

  #end(text: string): void {
    this.#abort = null;
    this.#busy(false);
    this.#text.textContent = text;
  }

  #busy(busy: boolean): void {
    // Not `disabled`, which would take the focus away from who works with the keyboard.
    this.#send.setAttribute("aria-disabled", String(busy));
    this.#stop.setAttribute("aria-disabled", String(!busy));
  }
}

/** A file in parts. They are read one by one, when there is room for them on the way. */
function* parts(file: File, size: number): Generator<Blob> {
  for (let at = 0; at < file.size; at += size) yield file.slice(at, at + size);
}

/** A megabyte that nobody has to look for. */
function madeUp(): File {
  // So many are drawn at once, and no more.
  const pieces = Array.from({ length: 16 }, () => crypto.getRandomValues(new Uint8Array(65_536)));
  return new File(pieces, "random bytes");
}

async function digestOf(file: File): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function counted(bytes: number): string {
  return `${bytes.toLocaleString("en")} bytes`;
}
