import { connect, type Client } from "readywire";
import { connect as connectCore, type Client as CoreClient } from "readywire/core";
import { connect as connectInline } from "readywire/inline";

interface Events {
  "chat.message": { send: { text: string }; receive: { from: string; text: string } };
}

export async function use(url: string, signal: AbortSignal): Promise<number> {
  const client: Client<Events> = await connect<Events>(url, { token: async () => null, signal });
  client.addEventListener("message", (event) => console.log(event.detail.payload.from));
  // @ts-expect-error: a payload of another shape
  await client.send("chat.message", { txt: "" });
  for await (const message of client.messages()) console.log(message.payload.text);
  await (await connectInline(url)).close();
  const core: CoreClient<Events> = await connectCore<Events>(url, { signal });
  core.addEventListener("message", (event) => console.log(event.detail.payload.from));
  await core.send("chat.message", { text: "" });
  // @ts-expect-error: topics are for the main entry
  core.subscribe("room/1");
  return (await client.send("chat.message", { text: "" })).id;
}
