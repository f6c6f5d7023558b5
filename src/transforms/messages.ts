import type { Definition, Headers } from "../schema/transform/index.ts";

/** What the broker and a worker's process tell each other. Structured clones: bytes stay bytes. */

/** A message by its place: of a topic partition and offset, of a queue -1 and its number. */
export interface Place {
  readonly partition: number;
  readonly number: number;
}

/** A message that ended a worker: it is not tried again but goes to the dead letters. */
export interface Condemned extends Place {
  readonly reason: string;
}

/** A message outside a broker, for a trial. */
export interface TrialMessage {
  readonly value: Uint8Array | null;
  readonly key: string | Uint8Array | null;
  readonly headers: Headers;
}

export interface TrialResult {
  readonly messages: readonly (TrialMessage & { readonly from: number; readonly to: unknown })[];
  readonly errors: readonly { readonly from: number; readonly reason: string }[];
}

export interface Assignment {
  readonly namespace: string;
  readonly name: string;
  readonly definition: Definition;
  /** Of the broker, over loopback. */
  readonly url: string;
  /** To log in with there; null where nobody has to. */
  readonly secret: string | null;
  /** Absolute path of the functions' folder. */
  readonly folder: string;
  /** File that the process keeps its place in, see progress.ts. */
  readonly progressFile: string;
}

export type ToWorker =
  /** The first message: load what the steps need, and say `ready`. */
  | ({ readonly type: "load" } & Assignment)
  | {
      readonly type: "run";
      /** The member of the group that this process is, as the one before it was. */
      readonly member: string;
      /** A message that was under way when a process ended: it has to be the first of its own. */
      readonly suspect: Place | null;
      /** A process before it was killed: what it held counts as delivered, so this one holds little at first. */
      readonly isCareful: boolean;
      readonly condemned: readonly Condemned[];
    }
  | { readonly type: "condemn"; readonly condemned: Condemned }
  /** Run the steps over these and end. */
  | { readonly type: "try"; readonly messages: readonly TrialMessage[] }
  /** Commit what is under way and end. */
  | { readonly type: "stop" };

/** Since a worker began, or of all workers of a transform. */
export interface Counters {
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** Messages that went to the dead letters. */
  readonly failed: number;
  readonly batches: number;
}

export type FromWorker =
  | { readonly type: "ready" }
  /** It will end: a file that does not load, a subject that is not there. */
  | { readonly type: "unfit"; readonly reason: string }
  /** The newest failure of a message. */
  | { readonly type: "failure"; readonly reason: string }
  /** What keeps it from going on; null: it goes on. */
  | { readonly type: "held"; readonly reason: string | null }
  | { readonly type: "tried"; readonly result: TrialResult };
