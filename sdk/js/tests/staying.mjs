import assert from "node:assert/strict";
import { record } from "./wire.mjs";

/**
 * Stays connected in a page with tokens that end after `ttl`, until `enough(refreshes, milliseconds)`, and sees to it that
 * nobody notices: one connection, every token good, every echo answered.
 */
export async function stay({ server, pages, browser }, ttl, enough) {
  const page = await browser.newPage();
  try {
    const wire = record(page);
    await page.exposeFunction("fetchToken", () => server.token("alice", ttl));
    await page.goto(`${pages.origin}/refresh.html`);
    const begun = performance.now();
    await page.evaluate((url) => globalThis.stay(url), server.url);
    const told = (kind) => (wire.connections[0] ?? []).filter(kind);
    const answers = () => told(({ direction, type, required }) => direction === "in" && type === "auth" && !required);
    let refreshes = 0;
    while (!enough(refreshes, performance.now() - begun)) {
      await wire.until((connections) => connections.length > 1 || answers().length > refreshes);
      assert.equal(wire.connections.length, 1, "no reconnect");
      refreshes = answers().length;
      await page.evaluate(() => globalThis.echo());
    }
    const took = performance.now() - begun;
    const { asked, states, echoes, slowestEcho } = await page.evaluate(() => globalThis.leave());
    assert.deepEqual(states, ["connecting", "accepted", "authenticated", "services_ready", "processing_ready"]);
    assert.deepEqual(answers().flatMap(({ error }) => error ?? []), [], "no refusal");
    assert.deepEqual(asked.slice(0, refreshes + 1), ["connect", ...Array(refreshes).fill("refresh")]);
    const demands = told(({ direction, type, required }) => direction === "in" && type === "auth" && required);
    const lives = [told(({ type }) => type === "ready")[0].auth, ...answers()].map(({ expires_in_ms }) => expires_in_ms);
    return { took, refreshes, demands: demands.length, echoes, slowestEcho, lives };
  } finally {
    await page.close();
  }
}
