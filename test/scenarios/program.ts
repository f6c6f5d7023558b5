/** What the scenarios share: where the broker is, and waiting for something to come true. */

/** The broker of the program's first argument, of MILLRACE_URL, or of MILLRACE_PORT on this machine. */
export function brokerUrl(
  argument: string | undefined,
  environment: { [name: string]: string | undefined } = process.env,
): string {
  const { MILLRACE_URL, MILLRACE_PORT = "7400" } = environment;
  return argument ?? MILLRACE_URL ?? `millrace://127.0.0.1:${MILLRACE_PORT}`;
}

/** Resolves when `isTrue` says so. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await Bun.sleep(2);
}

/** Of sorted or unsorted numbers the one that `share` of them do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
