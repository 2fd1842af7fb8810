// A `Blob` takes its time to be read. What is sent behind it waits for it, so that the order is that of the calls.

import { isBlob } from "./payloads.js";
import type { Encoded } from "./payloads.js";

/** What may wait, and how long; as in the engine's own queue behind it. */
export interface Bounds {
  readonly messages: number;
  readonly bytes: number;
  readonly maxAgeMs: number;
}

/** What becomes of a payload that stands in line. */
export interface Standing {
  readonly handle: number;
  /** Its turn has come; so long it has waited. */
  give(payload: Encoded, waitedMs: number): void;
  /** It is out of the line, and will never be given. */
  drop(why: "queue_full" | "expired" | "unreadable", error?: unknown): void;
}

interface Place {
  readonly standing: Standing;
  readonly size: number;
  readonly since: number;
  /** Null while it is read. */
  payload: Encoded | null;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Hands payloads on in the order in which they come. Without a `Blob` in it, it hands them on at once. */
export class Line {
  readonly #bounds: Bounds;
  #places: Place[] = [];

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  push(payload: Encoded | Blob, standing: Standing): void {
    const blob = isBlob(payload);
    if (!blob && this.#places.length === 0) return standing.give(payload, 0);
    const size = blob ? payload.size : payload.length;
    const held = this.#places.reduce((sum, place) => sum + place.size, size);
    if (this.#places.length >= this.#bounds.messages || held > this.#bounds.bytes) return standing.drop("queue_full");
    const place: Place = { standing, size, since: Date.now(), payload: null, timer: undefined };
    this.#places.push(place);
    // The application may go on to write into what it gave.
    if (!blob) place.payload = typeof payload === "string" ? payload : payload.slice();
    else this.#read(place, payload);
  }

  /** Takes a send out of the line; whether it stood there. */
  withdraw(handle: number): boolean {
    const place = this.#places.find(({ standing }) => standing.handle === handle);
    if (place === undefined) return false;
    this.#remove(place);
    return true;
  }

  /** Nothing that stands in line is given any more. */
  clear(): void {
    for (const place of [...this.#places]) clearTimeout(place.timer);
    this.#places = [];
  }

  #read(place: Place, blob: Blob): void {
    place.timer = setTimeout(() => this.#drop(place, "expired"), this.#bounds.maxAgeMs);
    blob.arrayBuffer().then(
      (buffer) => {
        clearTimeout(place.timer);
        place.payload = new Uint8Array(buffer);
        this.#advance();
      },
      (error: unknown) => this.#drop(place, "unreadable", error),
    );
  }

  #drop(place: Place, why: "expired" | "unreadable", error?: unknown): void {
    if (!this.#places.includes(place)) return;
    place.standing.drop(why, error);
    this.#remove(place);
  }

  #remove(place: Place): void {
    clearTimeout(place.timer);
    this.#places = this.#places.filter((other) => other !== place);
    // A little later: one signal may withdraw what stands behind it, too.
    queueMicrotask(() => this.#advance());
  }

  #advance(): void {
    for (let first = this.#places[0]; first !== undefined && first.payload !== null; first = this.#places[0]) {
      const { standing, payload, since } = first;
      this.#places.shift();
      standing.give(payload, Date.now() - since);
    }
  }
}
