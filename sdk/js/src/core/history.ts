/** In the place of `../history.js`. */
export { subscribe as history } from "./subscriptions.js";
