export { TransformHost } from "./host.ts";
export { groupOf } from "./names.ts";
export type { TrialMessage } from "./messages.ts";
export type { Stored } from "./running.ts";
