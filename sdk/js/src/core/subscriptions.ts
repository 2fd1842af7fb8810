import { ReadywireError } from "../errors.js";
import { ABSENT } from "./absent.js";

/** In the place of `../subscriptions.js`. */
export function subscribe(): never {
  throw new ReadywireError("this entry has no topics", ABSENT);
}
