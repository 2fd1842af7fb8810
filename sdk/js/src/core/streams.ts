import { ReadywireError } from "../errors.js";
import { ABSENT } from "./absent.js";

/** In the place of `../streams.js`. */
export class OpenStream {
  constructor() {
    throw new ReadywireError("this entry opens no streams", ABSENT);
  }
}
