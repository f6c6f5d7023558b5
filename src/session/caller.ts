/** Who asks for an operation: a connection's session, or a request over HTTP, which has no connection. */
import { nameFault } from "../broker/index.ts";
import { MillraceError } from "../errors/index.ts";
import type { Operation as Permission, Principal, Resource } from "../security/index.ts";
import { NAMESPACE_DEFAULT } from "./handshake.ts";
import type { Fields } from "./arguments.ts";
import { namespaceResource } from "./resources.ts";
import type { SessionServices } from "./services.ts";
import type { Session } from "./session.ts";

export interface Caller {
  readonly namespace: string;
  readonly principal: Principal;
  readonly services: SessionServices;
  /** Names the connection, which an exclusive queue belongs to; empty where there is none. */
  readonly owner: string;
  /** Absent for a request over HTTP. */
  readonly session: Session | undefined;
  /** @throws unauthorized. */
  authorize(permission: Permission, resource: Resource): void;
  /** The same as a question, for lists that show what may be seen. */
  isAllowed(permission: Permission, resource: Resource): boolean;
}

/** For whom, and in which namespace, an operation runs without a connection. */
export interface InvokedBy {
  readonly principal: Principal;
  /** Absent for what is of no namespace; what is of one all the same is of the default one then. */
  readonly namespace: string | undefined;
}

/**
 * Runs an operation without a connection, with the checks that a session's request passes.
 *
 * @param args the map that the request carries.
 * @returns the result of OK.
 * @throws what ERROR would carry; unknown_op also for operations that only a connection can ask for.
 */
export type Invoke = (by: InvokedBy, op: number, args: Fields) => Promise<unknown>;

/** @param underWayMax so many run at once on this worker; what comes then is refused. */
export function invoker(services: SessionServices, underWayMax: number): Invoke {
  let underWay = 0;
  return async (by, op, args) => {
    const operation = services.operations.get(op);
    if (operation === undefined) throw new MillraceError("unknown_op", undefined, { details: { op } });
    if (services.isStopping()) throw new MillraceError("shutting_down");
    if (underWay >= underWayMax) {
      throw new MillraceError("limit_exceeded", `${underWayMax} requests over HTTP are under way`);
    }
    underWay += 1;
    try {
      const caller = callerOf(services, by);
      if (by.namespace !== undefined) {
        caller.authorize("connect", namespaceResource(caller));
        services.namespaces.require(by.namespace);
      }
      const running = operation.handle(caller, [args]);
      const result = await running.result;
      running.after();
      return result;
    } finally {
      underWay -= 1;
    }
  };
}

function callerOf(services: SessionServices, { principal, namespace = NAMESPACE_DEFAULT }: InvokedBy): Caller {
  const fault = nameFault(namespace);
  if (fault !== undefined) throw new MillraceError("invalid_argument", `namespace: ${fault}`);
  return {
    namespace,
    principal,
    services,
    owner: "",
    session: undefined,
    authorize: (permission, resource) => services.authorizer.authorize(principal, permission, resource),
    isAllowed: (permission, resource) => services.authorizer.isAllowed(principal, permission, resource),
  };
}
