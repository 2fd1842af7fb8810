import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { serverProgram, startServer } from "./server.mjs";

/**
 * One server after the other at one address, all on one log, as behind a load balancer. On the way from two servers to one
 * client nothing orders what they say: `held` is the one that is held back from the next connection on, `"leaving"` or
 * `"next"`, until the test lets it through.
 */
export async function startDeployment({ pages }, held) {
  const folder = await mkdtemp(join(tmpdir(), "readywire-deployment-"));
  const parts = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const part of parts.splice(0).reverse()) await part();
  };
  try {
    const log = await startLog();
    parts.push(() => log.stop());
    const admin = randomBytes(32).toString("hex");
    await writeFile(join(folder, "admin"), admin, { mode: 0o600 });
    const options = ["--log", log.address, "--allow-origin", pages.origin, "--admin-token-file", join(folder, "admin")];
    const start = async () => {
      const server = await startServer(folder, options);
      parts.push(() => server.stop());
      return server;
    };
    let server = await start();

    /** What servers say, by the connection that it came on, and where it goes. */
    const ways = [];
    let holding = null;
    const relay = createServer((near) => {
      const far = connect(Number(new URL(server.url).port), "127.0.0.1");
      for (const [from, to] of [[near, far], [far, near]]) {
        from.setNoDelay(true);
        from.on("error", () => to.destroy());
        from.pipe(to);
      }
      ways.push([far, near]);
      if (ways.length === 1) return;
      holding = ways.at(held === "next" ? -1 : -2);
      const [from, to] = holding;
      from.unpipe(to);
    });
    relay.listen(0, "127.0.0.1");
    await once(relay, "listening");
    parts.push(() => relay.close());
    return {
      url: `ws://127.0.0.1:${relay.address().port}/ws`,
      token: (subject) => server.token(subject),
      /** Starts the next server, sends new connections there, and lets the last one go away. */
      async restart() {
        const leaving = server;
        server = await start();
        const headers = { authorization: `Bearer ${admin}` };
        const answer = await fetch(`${leaving.origin}/admin/drain`, { method: "POST", headers });
        if (!answer.ok) throw new Error(`POST /admin/drain: ${answer.status} ${await answer.text()}`);
      },
      /** Lets through what is held back. */
      letThrough() {
        const [from, to] = holding ?? [];
        holding = null;
        from?.pipe(to);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startLog() {
  const child = spawn(serverProgram(), ["log", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  const stopWithUs = () => child.kill();
  process.once("exit", stopWithUs);
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return {
    address: /^log on (\S+)$/.exec(line)[1],
    async stop() {
      process.removeListener("exit", stopWithUs);
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}
