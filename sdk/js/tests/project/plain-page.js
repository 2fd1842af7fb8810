import { connect } from "./node_modules/readywire/dist/index.js";
import { connect as connectCore } from "./node_modules/readywire/dist/core.js";
import { connect as connectInline } from "./node_modules/readywire/dist/inline.js";
import { given, scenario } from "./scenario.js";

globalThis.result = (async () => ({
  main: await scenario(connect, ...given(location.hash)),
  inline: await scenario(connectInline, ...given(location.hash)),
  core: await scenario(connectCore, ...given(location.hash)),
}))();
