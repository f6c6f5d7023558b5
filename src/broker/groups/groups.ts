/** Consumer groups as a session sees them: finds the owner worker of a group and asks it. */
import { MillraceError } from "../../errors/index.ts";
import type { Mailroom } from "../mailroom.ts";
import { entityKey, hashName } from "../names.ts";
import type { Coordinator } from "./coordinator.ts";
import type {
  CommitRequest,
  GroupDescription,
  GroupLag,
  GroupName,
  GroupSummary,
  HeldCommit,
  HoldName,
  JoinRequest,
  JoinResult,
  LeaveRequest,
  MemberRequest,
  OffsetRow,
  Prepared,
  PrepareRequest,
  ReleaseRequest,
  ResetRequest,
} from "./messages.ts";

/** The worker that owns a group. */
export function ownerOf(namespace: string, group: string, workers: number): number {
  return hashName(entityKey(namespace, group)) % workers;
}

export class Groups {
  readonly #mailroom: Mailroom;

  /** @param coordinator of this worker, which answers for the groups it owns. */
  constructor(mailroom: Mailroom, coordinator: Coordinator) {
    this.#mailroom = mailroom;
    const gated = <R extends GroupName>(run: (request: R) => unknown) => {
      return (request: R): unknown => coordinator.gated(request, () => run(request));
    };
    mailroom.onRequest(
      "group.join",
      gated((request: JoinRequest) => coordinator.join(request)),
    );
    mailroom.onRequest("group.heartbeat", (request: MemberRequest) => coordinator.heartbeat(request));
    mailroom.onRequest(
      "group.release",
      gated((request: ReleaseRequest) => coordinator.release(request)),
    );
    mailroom.onRequest(
      "group.leave",
      gated((request: LeaveRequest) => coordinator.leave(request)),
    );
    mailroom.onRequest(
      "group.commit",
      gated((request: CommitRequest) => coordinator.commit(request)),
    );
    mailroom.onRequest("group.prepare", (request: PrepareRequest) => coordinator.prepare(request));
    mailroom.onRequest("group.commit_held", (request: HeldCommit) => coordinator.commitHeld(request));
    mailroom.onNotice("group.cancel", (name: HoldName) => coordinator.cancel(name));
    mailroom.onRequest("group.describe", (name: GroupName) => coordinator.describe(name));
    mailroom.onRequest("group.offsets", (name: GroupName) => coordinator.offsets(name));
    mailroom.onRequest(
      "group.reset",
      gated((request: ResetRequest) => coordinator.reset(request)),
    );
    mailroom.onRequest(
      "group.delete",
      gated((name: GroupName) => coordinator.delete(name)),
    );
    mailroom.onRequest("group.list", () => coordinator.list());
    mailroom.onRequest("group.lags", () => coordinator.lags());
  }

  join(request: JoinRequest): Promise<JoinResult> {
    return this.#ask(request, "group.join");
  }

  heartbeat(request: MemberRequest): Promise<{ generation: number }> {
    return this.#ask(request, "group.heartbeat");
  }

  release(request: ReleaseRequest): Promise<void> {
    return this.#ask(request, "group.release");
  }

  leave(request: LeaveRequest): Promise<void> {
    return this.#ask(request, "group.leave");
  }

  commit(request: CommitRequest): Promise<void> {
    return this.#ask(request, "group.commit");
  }

  /** Checks a transaction's offsets and holds the group. @throws as `commit`. */
  prepare(request: PrepareRequest): Promise<Prepared> {
    return this.#ask(request, "group.prepare");
  }

  /** Commits what was prepared and ends the hold. */
  commitHeld(request: HeldCommit): Promise<void> {
    return this.#ask(request, "group.commit_held");
  }

  /** Ends a hold without a commit. */
  cancel(name: HoldName): void {
    const owner = ownerOf(name.namespace, name.group, this.#mailroom.workers);
    this.#mailroom.notify(owner, "group.cancel", name);
  }

  describe(name: GroupName): Promise<GroupDescription> {
    return this.#ask(name, "group.describe");
  }

  /** @throws group_not_found when the group has neither offsets nor members. */
  async offsets(name: GroupName): Promise<OffsetRow[]> {
    const rows = await this.#ask<OffsetRow[]>(name, "group.offsets");
    if (rows.length === 0) await this.describe(name);
    return rows;
  }

  reset(request: ResetRequest): Promise<{ offsets: [topic: string, partition: number, offset: number][] }> {
    return this.#ask(request, "group.reset");
  }

  delete(name: GroupName): Promise<void> {
    return this.#ask(name, "group.delete");
  }

  /** Groups of a namespace by name. */
  async list(namespace: string): Promise<GroupSummary[]> {
    const all = (await this.#mailroom.requestAll<GroupSummary[]>("group.list", null)).flat();
    return all.filter((group) => group.namespace === namespace).sort((a, b) => (a.group < b.group ? -1 : 1));
  }

  /** Lag of all groups of all namespaces. */
  async lags(): Promise<GroupLag[]> {
    return (await this.#mailroom.requestAll<GroupLag[]>("group.lags", null)).flat();
  }

  #ask<T>(request: GroupName, name: string): Promise<T> {
    if (request.group.length === 0) throw new MillraceError("invalid_argument", "group: a name has at least 1 byte");
    return this.#mailroom.request(ownerOf(request.namespace, request.group, this.#mailroom.workers), name, request);
  }
}
