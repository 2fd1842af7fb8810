/**
 * Records what passes through the sockets of a page to /ws: one list of frames for each connection. Each frame has its
 * place in the `order` of all, and so has the `end` of its connection.
 */
export function record(page) {
  const connections = [];
  const waiting = new Set();
  let order = 0;
  page.on("websocket", (socket) => {
    if (!socket.url().endsWith("/ws")) return;
    const frames = [];
    connections.push(frames);
    const keep = (direction) => ({ payload }) => {
      frames.push({ direction, order: order++, ...frameOf(payload) });
      for (const check of waiting) check();
    };
    socket.on("framesent", keep("out"));
    socket.on("framereceived", keep("in"));
    socket.on("close", () => (frames.end = order++));
  });
  return {
    connections,
    /** Waits until the recorded connections fulfil a condition. */
    until(condition) {
      return new Promise((resolve) => {
        const check = () => {
          if (!condition(connections)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      });
    },
  };
}

/** The frame of a message; of an envelope, with the number of `bytes` beside it. */
function frameOf(message) {
  if (typeof message === "string") return JSON.parse(message);
  const end = 4 + message.readUInt32BE(0);
  return { ...JSON.parse(message.toString("utf8", 4, end)), bytes: message.length - end };
}

/** The sends of a connection, in order. */
export function sends(frames) {
  return frames.filter((frame) => frame.direction === "out" && frame.type === "send");
}

/** The sends that left before the server said on this connection that it is ready. */
export function early(frames) {
  const ready = frames.findIndex((frame) => frame.direction === "in" && frame.type === "ready");
  return sends(ready < 0 ? frames : frames.slice(0, ready));
}
