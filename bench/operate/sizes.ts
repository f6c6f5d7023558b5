import type { AbuseSizes } from "./abuse.ts";

/** How much each measurement moves. */

export interface Sizes {
  /** Bytes that each of the connections publishes where one thread is held against two. */
  readonly threadsBytes: number;
  /** Bytes that one connection publishes where TLS is held against none. */
  readonly tlsBytes: number;
  /** Where rules are held against none: bytes of a slice, and how many slices of each side take turns. */
  readonly permissionsSliceBytes: number;
  readonly permissionsSlices: number;
  /** Topics, and as many queues, that the dashboard lists. */
  readonly dashboardNames: number;
  readonly abuse: AbuseSizes;
}

export const FULL: Sizes = {
  threadsBytes: 100_000_000,
  tlsBytes: 800_000_000,
  permissionsSliceBytes: 100_000_000,
  permissionsSlices: 40,
  dashboardNames: 1000,
  abuse: {
    crowd: { idle: 2_000, busy: 200, slow: 100, strangers: 50 },
    quietSeconds: 30,
    abuseSeconds: 300,
    perSecond: 1_000,
  },
};

export const QUICK: Sizes = {
  threadsBytes: 4_000_000,
  tlsBytes: 8_000_000,
  permissionsSliceBytes: 4_000_000,
  permissionsSlices: 3,
  dashboardNames: 20,
  abuse: {
    crowd: { idle: 50, busy: 10, slow: 5, strangers: 10 },
    quietSeconds: 0.5,
    abuseSeconds: 1,
    perSecond: 500,
  },
};
