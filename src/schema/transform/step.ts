import type { TransformMessage } from "./message.ts";

/** What one step makes of a message: another, several, or none. */
export type Outcome = TransformMessage | readonly TransformMessage[] | null;

/** A compiled step. @throws transform_failed, and whatever a user's function throws: the message goes to the dead letters. */
export type Step = (message: TransformMessage) => Outcome | Promise<Outcome>;
