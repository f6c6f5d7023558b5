/** What routes of messages have in common. */
import { ENCODINGS } from "../content.ts";
import type { Ask, Shape } from "../route.ts";

const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 1000;
/** Of one key or value in an answer. */
export const CONTENT_BYTES_MAX = 64 * 1024;

export const limit: Shape = { type: "integer", minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT };
export const as: Shape = { type: "string", enum: ENCODINGS, default: "auto", description: "how values are written" };

export function limitOf({ query }: Ask): number {
  return Number(query["limit"] ?? LIMIT_DEFAULT);
}
