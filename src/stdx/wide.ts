/**
 * msgpackr writes integers past 32 bits as floats; as BigInt they go out as the integers that the core expects.
 *
 * @returns a copy of plain data, with such integers as BigInt and without keys whose value is undefined.
 */
export function wide(value: unknown): unknown {
  if (typeof value === "number") {
    return Number.isSafeInteger(value) && (value > 0xffffffff || value < -0x80000000) ? BigInt(value) : value;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(wide);
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries.map(([key, entry]) => [key, wide(entry)]));
}
