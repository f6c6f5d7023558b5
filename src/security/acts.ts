/** Administrative acts: run, with a line in the audit log that says what became of each. */
import { toMillraceError } from "../errors/index.ts";
import type { Audit } from "./audit.ts";
import type { Operation } from "./operations.ts";
import type { Principal } from "./principal.ts";
import type { Resource } from "./rules.ts";

export interface Act {
  readonly operation: Operation;
  readonly resources: readonly Resource[];
  /** What of the broker it changes, where the resources do not say it: `user alice`. No secrets. */
  readonly about?: string | undefined;
}

/** @param run of a promise, the line is written when it settles. */
export function audited(audit: Audit, principal: Principal, act: Act, run: () => unknown): unknown {
  const tell = (error: string | undefined): void => audit.acted(principal, { ...act, error });
  try {
    const result = run();
    if (result instanceof Promise) return settled(result, tell);
    tell(undefined);
    return result;
  } catch (error) {
    tell(nameOf(error));
    throw error;
  }
}

async function settled(result: Promise<unknown>, tell: (error: string | undefined) => void): Promise<unknown> {
  try {
    const value: unknown = await result;
    tell(undefined);
    return value;
  } catch (error) {
    tell(nameOf(error));
    throw error;
  }
}

function nameOf(error: unknown): string {
  return toMillraceError(error).codeName;
}
