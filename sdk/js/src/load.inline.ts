import initialise, { RawClient } from "readywire-glue";
import base64 from "readywire-module-base64";
import { once } from "./once.js";

export const load = once(async (source) => {
  await initialise({ module_or_path: source ?? decode(base64) });
  return RawClient;
});

function decode(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
