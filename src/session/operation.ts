/** What a control op is made of; the families (topic-ops.ts and its neighbours) define one object for each. */
import type { Operation as Permission, Resource } from "../security/index.ts";
import type { Session } from "./session.ts";

export interface Operation<Request> {
  readonly op: number;
  /** What `authorize` is asked; it may depend on the request where one op serves several kinds of things. */
  readonly permission: Permission | ((request: Request) => Permission);
  /** Reads the arguments behind the correlation id. @throws invalid_argument. */
  parse(args: readonly unknown[], session: Session): Request;
  /** What the request touches. */
  resources(request: Request, session: Session): readonly Resource[];
  /**
   * Carries the request out. What it returns is the result of OK. Where it returns no promise, the OK goes out before
   * anything the engine sends because of it.
   */
  run(session: Session, request: Request): unknown;
  /** Runs right after the OK went out. */
  after?(session: Session, request: Request): void;
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
  /** Parses, authorizes and runs. */
  handle(session: Session, args: readonly unknown[]): Running;
}

export function define<Request>(operation: Operation<Request>): AnyOperation {
  const { op } = operation;
  return {
    op,
    finishes: operation.finishes ?? false,
    handle(session, args) {
      const request = operation.parse(args, session);
      const permission =
        typeof operation.permission === "function" ? operation.permission(request) : operation.permission;
      for (const resource of operation.resources(request, session)) session.authorize(permission, resource);
      const result = operation.run(session, request);
      return { result, after: () => operation.after?.(session, request) };
    },
  };
}
