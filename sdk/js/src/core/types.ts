import type { Client as WholeClient } from "../client.js";
import type { ConnectOptions as AllOptions, EventMap, EventMapOf } from "../types.js";

/** A connection to a server, through as many sockets as it takes: `Client` of "readywire" without topics, streams, questions and carry-over. */
export type Client<M extends EventMapOf<M> = EventMap> = Omit<
  WholeClient<M>,
  "subscribe" | "history" | "publish" | "openStream" | "answer" | "openAnswers" | "attach"
>;

/** As of "readywire", without questions, and without what is carried over the reload of a page. */
export type ConnectOptions<M extends EventMapOf<M> = EventMap> = Omit<AllOptions<M>, "carryOver" | "questions">;
