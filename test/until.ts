/** Waits until `condition` is true, or what it returns is; throws with `what` after the time. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const value = await condition();
    if (value !== false && value !== undefined && value !== null) return value as NonNullable<Exclude<T, false>>;
    await Bun.sleep(5);
  }
  throw new Error(`waited ${timeoutMs} ms for: ${what}`);
}
