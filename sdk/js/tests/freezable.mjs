import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";

/**
 * Opens a page that can be frozen. One of Playwright's cannot: there each counts as looked at for ever, and a page that is
 * looked at is not frozen, though the command for it succeeds. So this one is driven over DevTools alone.
 */
export async function openFreezable(browser, url) {
  const tools = await browser.newBrowserCDPSession();
  const { targetId } = await tools.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await tools.send("Target.attachToTarget", { targetId, flatten: false });
  const page = new EventTarget();
  tools.on("Target.receivedMessageFromTarget", ({ sessionId: from, message }) => {
    if (from !== sessionId) return;
    const { id, method, ...rest } = JSON.parse(message);
    page.dispatchEvent(new CustomEvent(method ?? `answer ${id}`, { detail: rest }));
  });

  let last = 0;
  async function send(method, params = {}) {
    const id = ++last;
    const answered = once(page, `answer ${id}`);
    await tools.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method, params }) });
    const [{ detail }] = await answered;
    if (detail.error) throw new Error(`${method}: ${detail.error.message}`);
    return detail.result;
  }

  /** Calls a function in the page. */
  async function evaluate(what, argument) {
    const expression = `(${what})(${JSON.stringify(argument)})`;
    const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Changes its state, and waits until the page has heard of it, which is later than the command says. */
  async function become(state) {
    const told = once(page, "Runtime.bindingCalled");
    await send("Page.setWebLifecycleState", { state });
    await told;
  }

  await Promise.all([send("Page.enable"), send("Runtime.enable"), send("Runtime.addBinding", { name: "lifeChanged" })]);
  const loaded = once(page, "Page.loadEventFired");
  await send("Page.navigate", { url });
  await loaded;
  await evaluate(() => {
    for (const name of ["freeze", "resume"]) document.addEventListener(name, () => globalThis.lifeChanged(name));
  });
  return {
    evaluate,
    freeze: () => become("frozen"),
    thaw: () => become("active"),
    /** Waits until a function of the page says so. */
    async until(condition) {
      while (!(await evaluate(condition))) await wait(20);
    },
    async close() {
      await tools.send("Target.closeTarget", { targetId });
      await tools.detach();
    },
  };
}
