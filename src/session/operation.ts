/** What a control op is made of; the families (topic-ops.ts and its neighbours) define one object for each. */
import { MillraceError } from "../errors/index.ts";
import type { Operation as Permission, Resource } from "../security/index.ts";
import type { Caller } from "./caller.ts";
import type { Session } from "./session.ts";
import type { Touch } from "./touches.ts";

/** @typeParam By `Session` for what only a connection can ask for, such as a subscription. */
export interface Operation<Request, By extends Caller = Caller> {
  readonly op: number;
  /** What `authorize` is asked; it may depend on the request where one op serves several kinds of things. */
  readonly permission: Permission | ((request: Request, caller: By) => Permission);
  /** Reads the arguments behind the correlation id. @throws invalid_argument. */
  parse(args: readonly unknown[], caller: By): Request;
  /** What the request touches. */
  resources(request: Request, caller: By): readonly Resource[];
  /** What it touches besides, each with its own question: where messages go, say, and what definitions name. */
  also?(request: Request, caller: By): readonly Touch[];
  /** What of the broker it changes, for the audit log, where its resources do not say it: `user alice`. No secrets. */
  about?(request: Request): string;
  /**
   * Carries the request out. What it returns is the result of OK. Where it returns no promise, the OK goes out before
   * anything the engine sends because of it.
   */
  run(caller: By, request: Request): unknown;
  /** Runs right after the OK went out. */
  after?(caller: By, request: Request): void;
  /** Allowed while the broker shuts down, because it finishes what was begun. */
  readonly finishes?: boolean;
}

/** A request under way. */
export interface Running {
  readonly result: unknown;
  after(): void;
}

/** An operation whose request type only it knows. */
export interface AnyOperation {
  readonly op: number;
  readonly finishes: boolean;
  /** Whether only a connection can ask for it. */
  readonly needsConnection: boolean;
  /** Parses, authorizes and runs. */
  handle(caller: Caller, args: readonly unknown[]): Running;
}

/** An operation for every caller. */
export function define<Request>(operation: Operation<Request>): AnyOperation {
  const { op, finishes = false } = operation;
  return { op, finishes, needsConnection: false, handle: (caller, args) => handle(operation, caller, args) };
}

/** An operation that works on its connection. */
export function defineConnected<Request>(operation: Operation<Request, Session>): AnyOperation {
  const { op, finishes = false } = operation;
  return {
    op,
    finishes,
    needsConnection: true,
    handle({ session }, args) {
      if (session !== undefined) return handle(operation, session, args);
      throw new MillraceError("unknown_op", `op ${op} works on a connection, and this request has none`);
    },
  };
}

function handle<Request, By extends Caller>(
  operation: Operation<Request, By>,
  caller: By,
  args: readonly unknown[],
): Running {
  const request = operation.parse(args, caller);
  const permission =
    typeof operation.permission === "function" ? operation.permission(request, caller) : operation.permission;
  const resources = operation.resources(request, caller);
  for (const resource of resources) caller.authorize(permission, resource);
  for (const touch of operation.also?.(request, caller) ?? []) caller.authorize(touch.permission, touch.resource);
  const act = { operation: permission, resources, about: operation.about?.(request) };
  const result = caller.services.authorizer.audited(caller.principal, act, () => operation.run(caller, request));
  return { result, after: () => operation.after?.(caller, request) };
}
