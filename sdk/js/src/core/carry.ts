import { ConnectError } from "../errors.js";
import { ABSENT } from "./absent.js";

/** In the place of `../carry.js`. */
export const Keeper = {
  open(): never {
    throw new ConnectError("this entry carries no session over", ABSENT);
  },
};
