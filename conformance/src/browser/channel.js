// Brings orders to the testee and its reports to the suite: a module whose default export takes a function that reports,
// and gives back a function that obeys.

export async function serve(load) {
  const socket = new WebSocket(`ws://${location.host}/suite/control`);
  const report = (report) => socket.send(JSON.stringify(report));
  const early = [];
  let obey = (order) => early.push(order);
  socket.onmessage = ({ data }) => obey(JSON.parse(data));
  await new Promise((resolve) => (socket.onopen = resolve));
  try {
    obey = (await load()).default(report);
    for (const order of early.splice(0)) obey(order);
  } catch (error) {
    report({ on: "trouble", why: String(error?.stack ?? error) });
  }
}
