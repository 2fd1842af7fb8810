import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * The real server.
 *
 *   READYWIRE_SERVER   the program; default target/debug/readywire-server
 */
export function serverProgram() {
  const program = process.env.READYWIRE_SERVER ?? fileURLToPath(new URL("../../../target/debug/readywire-server", import.meta.url));
  if (!existsSync(program)) throw new Error(`${program} is missing: run \`cargo build -p readywire-server\``);
  return program;
}

/** Starts it on a free port, with the secret of a folder, a fresh one at first, and further options of its command line. */
export async function startServer(folder, options = []) {
  const program = serverProgram();
  const secret = join(folder, "secret");
  if (!existsSync(secret)) await writeFile(secret, randomBytes(48).toString("base64"), { mode: 0o600 });
  const signing = ["--jwt-secret-file", secret];

  const child = spawn(program, [...signing, "--listen", "127.0.0.1:0", ...options], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, RUST_LOG: process.env.RUST_LOG ?? "error" },
  });
  // Whatever ends this process, the server does not outlive it.
  const stopWithUs = () => child.kill();
  process.once("exit", stopWithUs);
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const found = /^listening on (ws:\S+)$/.exec(line);
      if (found) resolve(found[1]);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
  const origin = `http://${new URL(url).host}`;

  return {
    url,
    origin,
    /** A token for this subject, by default for an hour. */
    async token(subject, ttl = "1h") {
      const { stdout } = await promisify(execFile)(program, [...signing, "token", "--subject", subject, "--ttl", ttl]);
      return stdout.trim();
    },
    /** Sets fault switches; the server must have been started with `--faults`. */
    async fault(switches) {
      const answer = await fetch(`${origin}/faults`, { method: "POST", body: JSON.stringify(switches) });
      if (!answer.ok) throw new Error(`POST /faults: ${answer.status} ${await answer.text()}`);
    },
    async stop() {
      process.removeListener("exit", stopWithUs);
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}
