import { chromium } from "playwright-core";

/**
 * Starts the browser; none is ever downloaded.
 *
 *   CHROMIUM   the program; default /usr/bin/chromium
 */
export function launchBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}
