import type { Phase } from "../admin/index.ts";

/** Where a broker is in its life; health checks ask for it. */
export interface BrokerPhase {
  current: Phase;
}

export function adminPhase(phase: BrokerPhase): () => Phase {
  return () => phase.current;
}
