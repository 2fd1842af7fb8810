import base64 from "readywire-module-base64";
import { once } from "./once.js";
import { startModule } from "./start.js";

export const load = once(async (source) => startModule(source ?? decode(base64)));

function decode(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
