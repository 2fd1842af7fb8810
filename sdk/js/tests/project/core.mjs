import { connect } from "readywire/core";
import { scenario } from "./scenario.js";

const [url, token] = process.argv.slice(2);
const result = await scenario(connect, url, token);

// What only the main entry has says so.
const client = await connect(url, { token: async () => token });
const code = (work) => Promise.resolve().then(work).then(() => null, (error) => error.code);
const absent = {
  topics: await code(() => client.subscribe("room/1")),
  history: await code(() => client.history("room/1")),
  publish: await code(() => client.publish("room/1", "chat.said", null)),
  streams: await code(() => client.openStream("transcribe", null)),
  questions: await code(() => client.answer("confirm", () => true)),
  bytes: await code(() => client.send("image.shrink", new Uint8Array(4))),
  carryOver: await code(() => connect(url, { token: async () => token, carryOver: "chat" })),
};
await client.close();
console.log(JSON.stringify({ result, absent }));
