import { connect } from "./node_modules/readywire/dist/index.js";
import { given } from "./scenario.js";

const [url] = given(location.hash);
globalThis.result = connect(url, { token: () => "not.a.token", readyTimeoutMs: 30_000, backoff: { firstMs: 1, baseMs: 1, capMs: 1 } }).then(
  () => ({ name: "none" }),
  ({ name, code, stage, remedy }) => ({ name, code, stage, remedy }),
);
