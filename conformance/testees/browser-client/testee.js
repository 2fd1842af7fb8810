// The npm package as a testee in a page or a worker. The suite serves this folder, and the package below /readywire/.

import * as readywire from "/readywire/index.js";
import { serve } from "./runs.js";

const place = typeof document === "undefined" ? "worker" : "page";

/** Called once by the suite: reports go to `report`, orders to what is given back. */
export default (report) => serve(readywire, `readywire (${place})`, report);
