/** Messages of one batch, and so of one transaction. */
export const BATCH_MESSAGES_MAX = 8_000;
/** A worker's way of saying that the next process shall begin with the message it stands before. */
export const EXIT_ALONE = 5;
