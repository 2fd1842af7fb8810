/** An `EventTarget` whose event names and details are known: what an event carries is in `event.detail`. */
export interface TypedEventTarget<Events> extends EventTarget {
  addEventListener<K extends keyof Events & string>(
    type: K,
    listener: TypedListener<Events[K]> | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof Events & string>(
    type: K,
    listener: TypedListener<Events[K]> | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

export type TypedListener<Detail> =
  | ((event: CustomEvent<Detail>) => void)
  | { handleEvent(event: CustomEvent<Detail>): void };

/** The platform's own class, seen through the types above. */
export const TypedEventTarget = EventTarget as new <Events>() => TypedEventTarget<Events>;

/** Tells the platform about an error in the application's callback, which must not disturb the client. */
export function reportCallbackError(error: unknown): void {
  if (typeof reportError === "function") {
    reportError(error);
  } else {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Calls the application. */
export function callSafely<T>(callback: ((value: T) => void) | undefined, value: T): void {
  if (callback === undefined) return;
  try {
    callback(value);
  } catch (error) {
    reportCallbackError(error);
  }
}
