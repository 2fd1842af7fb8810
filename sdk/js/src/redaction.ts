/**
 * A frame of either side without its tokens; everything else stays as it was written (clause `upgrade.redact`).
 *
 * It works on the text, so that a frame that breaks a rule, and is therefore looked at, gives nothing away either.
 */
export function withoutTokens(frame: string): string {
  if (isApplications(frame)) return frame;
  let namedToken = false;
  let end = 0;
  // String by string, so that hostile text takes no longer than other text; an unfinished one reaches to the end.
  const strings = /"([^"\\]*(?:\\.[^"\\]*)*\\?)("?)/gs;
  return frame.replace(strings, (string: string, text: string, quote: string, start: number) => {
    const shown = namedToken && /^[\s:]*$/.test(frame.slice(end, start)) ? "…" : text;
    // A name that is spelled with escapes may be any name.
    namedToken = text === "token" || text.includes("\\");
    end = start + string.length;
    return `"${shown}${quote}`;
  });
}

/** Whether it can be read, and is of a type that has no token: what is called so then is the application's. */
function isApplications(frame: string): boolean {
  try {
    const { type } = JSON.parse(frame) as { type?: unknown };
    return typeof type === "string" && type !== "hello" && type !== "auth" && type !== "ready";
  } catch {
    return false;
  }
}
