/** Has a host of transforms listen to the metadata log and to the other workers. */
import {
  type Groups,
  type Mailroom,
  TRANSFORM_PROBE,
  TRANSFORM_STATES,
  TRANSFORM_TRY,
  type TransformEvent,
  type TransformQuestion,
  type TransformTrial,
} from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { isMillraceError } from "../errors/index.ts";
import type { Logger } from "../stdx/index.ts";
import type { OwnAddress } from "./tcp-listeners.ts";
import { groupOf, type Stored, TransformHost, type TrialMessage } from "../transforms/index.ts";

export interface HostingOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly mailroom: Mailroom;
  readonly groups: Groups;
  readonly own: OwnAddress;
  readonly command: readonly string[];
}

export interface TransformHosting {
  apply(event: TransformEvent): void;
  close(): Promise<void>;
}

/** A worker that ended without leaving its group is a member for so long. */
const FORGET_MS = 20_000;
const STOP_MS = 5_000;
const FORGET_RETRY_MS = 500;

export function hostTransforms({ config, logger, mailroom, groups, own, command }: HostingOptions): TransformHosting {
  const host = new TransformHost({
    ...own,
    folder: config.transformsDir,
    command,
    logger,
    stopMs: Math.min(STOP_MS, config.drainTimeoutMs),
    forget: (stored) => forget(groups, stored),
  });
  mailroom.onRequest(TRANSFORM_PROBE, (question: TransformQuestion) => host.probe(question));
  mailroom.onRequest(TRANSFORM_STATES, (namespace: string) => host.states(namespace));
  mailroom.onRequest(TRANSFORM_TRY, (trial: TransformTrial) => host.try(trial, trial.messages as TrialMessage[]));
  return {
    apply: (event) => {
      if (event.type === "transform_put") host.put(event.transform);
      else host.delete(event.transform);
    },
    close: () => host.close(),
  };
}

/** Removes the offsets of a deleted transform, so that one of the same name begins anew. */
async function forget(groups: Groups, { namespace, name }: Stored): Promise<void> {
  const deadlineMs = performance.now() + FORGET_MS;
  while (true) {
    try {
      await groups.delete({ namespace, group: groupOf(name) });
      return;
    } catch (error) {
      if (isMillraceError(error, "group_not_found", "shutting_down")) return;
      if (!isMillraceError(error, "group_not_empty") || performance.now() > deadlineMs) throw error;
      await Bun.sleep(FORGET_RETRY_MS);
    }
  }
}
