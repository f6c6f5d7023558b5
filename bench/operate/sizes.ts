/** How much each measurement moves. */

export interface Sizes {
  /** Bytes that each of the connections publishes where one thread is held against two. */
  readonly threadsBytes: number;
  /** Bytes that one connection publishes where TLS is held against none. */
  readonly tlsBytes: number;
  /** Topics, and as many queues, that the dashboard lists. */
  readonly dashboardNames: number;
}

export const FULL: Sizes = {
  threadsBytes: 200_000_000,
  tlsBytes: 800_000_000,
  dashboardNames: 1000,
};

export const QUICK: Sizes = {
  threadsBytes: 4_000_000,
  tlsBytes: 8_000_000,
  dashboardNames: 20,
};
