/** How much each measurement moves. */

const MILLION = 1e6;

export interface Sizes {
  /** Messages through queues in a run. */
  readonly workMessages: number;
  /** Messages through the topic exchange in a run. */
  readonly routeMessages: number;
  /** Bindings of the topic exchange, and routing keys. */
  readonly routeBindings: number;
  readonly routeKeys: number;
  /** Messages to the fan-out, in batches and one by one. */
  readonly fanoutMessages: number;
  readonly fanoutSingles: number;
  /** Messages of which every other one goes to the fan-out. */
  readonly fanoutApart: number;
  readonly backlogMessages: number;
  readonly delayedMessages: number;
  /** Delayed messages that are due in each second. */
  readonly delayedPerSecond: number;
  /** How long their lateness is looked at. */
  readonly delayedSeconds: number;
  readonly latencySeconds: number;
  /** What is left out at the start of a latency run. */
  readonly latencyWarmSeconds: number;
  /** How long a broker rests before its memory is looked at. */
  readonly restMs: number;
}

export const FULL: Sizes = {
  workMessages: 4 * MILLION,
  routeMessages: 4 * MILLION,
  routeBindings: 10_000,
  routeKeys: 100_000,
  fanoutMessages: 2 * MILLION,
  fanoutSingles: 300_000,
  fanoutApart: 200_000,
  backlogMessages: 10 * MILLION,
  delayedMessages: 10 * MILLION,
  delayedPerSecond: 10_000,
  delayedSeconds: 10,
  latencySeconds: 5,
  latencyWarmSeconds: 1,
  restMs: 2_000,
};

export const QUICK: Sizes = {
  workMessages: 40_000,
  routeMessages: 20_000,
  routeBindings: 90,
  routeKeys: 1_000,
  fanoutMessages: 10_000,
  fanoutSingles: 2_000,
  fanoutApart: 4_000,
  backlogMessages: 50_000,
  delayedMessages: 20_000,
  delayedPerSecond: 4_000,
  delayedSeconds: 1,
  latencySeconds: 0.5,
  latencyWarmSeconds: 0.1,
  restMs: 50,
};

export const BODY_BYTES = 100;
export const ACKS_WRITTEN = 2;
