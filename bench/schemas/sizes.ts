/** How much each measurement moves. */

export interface Sizes {
  /** Subjects of the registry, each with a schema of its own. */
  readonly subjects: number;
  readonly lookupSeconds: number;
  /** What is left out at the start of a lookup run. */
  readonly lookupWarmSeconds: number;
  /** Records that a transform takes. */
  readonly transformRecords: number;
  /** Records that a producer sends to each of the topics in one turn. */
  readonly enforceRecords: number;
  readonly enforceTurns: number;
}

export const FULL: Sizes = {
  subjects: 10_000,
  lookupSeconds: 5,
  lookupWarmSeconds: 1,
  transformRecords: 1_000_000,
  enforceRecords: 500_000,
  enforceTurns: 8,
};

export const QUICK: Sizes = {
  subjects: 200,
  lookupSeconds: 0.3,
  lookupWarmSeconds: 0.1,
  transformRecords: 2_000,
  enforceRecords: 5_000,
  enforceTurns: 2,
};
