import { ReadywireError } from "../errors.js";
import { ABSENT } from "./absent.js";

/** In the place of `../questions.js`: no server asks a client that has not agreed to it. */
export class Questions {
  handle(): never {
    throw new ReadywireError("this entry answers no questions", ABSENT);
  }

  asked(): void {}

  withdrawn(): void {}

  close(): void {}
}
