/** Waits for a promise, but not longer than `timeoutMs`; true when it settled in time. Leaves no timer behind. */
export async function within(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: Timer | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
