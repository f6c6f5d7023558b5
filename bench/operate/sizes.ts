/** How much each measurement moves. */

export interface Sizes {
  /** Bytes that each of the connections publishes where one thread is held against two. */
  readonly threadsBytes: number;
}

export const FULL: Sizes = {
  threadsBytes: 200_000_000,
};

export const QUICK: Sizes = {
  threadsBytes: 4_000_000,
};
