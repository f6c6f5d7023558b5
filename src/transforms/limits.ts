/** Messages of one batch, and so of one transaction. */
export const BATCH_MESSAGES_MAX = 8_000;
