// Speaks the suite's testee protocol (CERTIFY_CLIENT.md) for the npm package, wherever that runs: one client for each run.

import { ExistingRun } from "./existing.js";
import { SessionRun } from "./session.js";

/** The options that a client is made with, as the suite names them. */
const OPTIONS = [
  "backoff_base_ms",
  "backoff_cap_ms",
  "backoff_first_ms",
  "close_deadline_ms",
  "connect_timeout_ms",
  "hello_in_upgrade",
  "queue_age_ms",
  "queue_bytes",
  "queue_messages",
];

/**
 * @param {object} readywire the package
 * @param {string} name
 * @param {(report: object) => void} report
 * @returns {(order: object) => void} takes orders
 */
export function serve({ connect, connectExisting }, name, report) {
  /** @type {Map<string, import("./run.js").Run>} */
  const runs = new Map();
  report({
    on: "hello",
    name,
    version: "0.1.0",
    // The entry `readywire/core` has fewer, and no `connectExisting`.
    levels: ["resume", "answers", ...(connectExisting === undefined ? [] : ["topics", "refresh", "binary", "streams", "questions"])],
    // A platform that fails the connection by itself tells nobody which subprotocol was selected, and a page is woken up
    // by its browser, for all runs at once.
    lacks: ["sees_subprotocol", "wake"],
    options: OPTIONS,
  });
  const begin = (order, tell) =>
    order.existing === undefined ? new SessionRun(connect, order, tell) : new ExistingRun(connectExisting, order, tell);
  return (order) => {
    switch (order.op) {
      case "end":
        runs.get(order.run)?.end();
        runs.delete(order.run);
        break;
      case "connect":
        runs.set(order.run, begin(order, (on, rest) => report({ run: order.run, on, ...rest })));
        break;
      default:
        runs.get(order.run)?.take(order);
    }
  };
}
