/** Calls `wake` when the page, or the worker, may have slept or changed its network. Returns how to stop that. */
export function watchPage(wake: () => void): () => void {
  const scope: Partial<EventTarget> = globalThis;
  // Neither a worker nor a server has a document, and some servers have no global events.
  const page = typeof document === "undefined" ? undefined : document;
  const onVisibility = (): void => {
    if (page?.visibilityState === "visible") wake();
  };
  const onWake = (): void => wake();
  scope.addEventListener?.("online", onWake);
  scope.addEventListener?.("pageshow", onWake);
  page?.addEventListener("visibilitychange", onVisibility);
  return () => {
    scope.removeEventListener?.("online", onWake);
    scope.removeEventListener?.("pageshow", onWake);
    page?.removeEventListener("visibilitychange", onVisibility);
  };
}
