/** How often a visible page looks whether time has jumped, and what counts as a jump. */
const LOOK_MS = 5000;
const JUMP_MS = 5000;

/** Calls `wake` when the page, or the worker, may have slept or changed its network. Returns how to stop that. */
export function watchPage(wake: () => void): () => void {
  const scope: Partial<EventTarget> = globalThis;
  // Neither a worker nor a server has a document, and some servers have no global events.
  const page = typeof document === "undefined" ? undefined : document;
  const network: Partial<EventTarget> | undefined = (globalThis.navigator as { connection?: EventTarget } | undefined)
    ?.connection;
  const onVisibility = (): void => {
    if (page?.visibilityState === "visible") wake();
  };
  const onWake = (): void => wake();
  // `offline` too: whether the socket still lives is found out in 3 s, not at the next missing ping.
  const watched: [Partial<EventTarget> | undefined, string, () => void][] = [
    [scope, "online", onWake],
    [scope, "offline", onWake],
    [scope, "pageshow", onWake],
    [page, "visibilitychange", onVisibility],
    // The page was frozen, and is no more.
    [page, "resume", onWake],
    [network, "change", onWake],
  ];
  for (const [target, name, listener] of watched) target?.addEventListener?.(name, listener);

  // A machine that slept tells nobody, and its monotonic clock may have slept with it.
  let before = Date.now();
  const timer: unknown = setInterval(() => {
    const now = Date.now();
    const jumped = now - before > LOOK_MS + JUMP_MS;
    before = now;
    // A hidden page's timers are late anyhow; it is woken when it is seen.
    if (jumped && page?.visibilityState !== "hidden") wake();
  }, LOOK_MS);
  // It keeps no process running.
  (timer as { unref?: () => void }).unref?.();

  return () => {
    for (const [target, name, listener] of watched) target?.removeEventListener?.(name, listener);
    clearInterval(timer as number);
  };
}
