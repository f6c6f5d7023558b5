import { dlopen } from "bun:ffi";

/**
 * A clock that all processes and threads of the machine share, in µs: what one writes into a payload, another subtracts.
 * The runtime's own clocks begin with the thread, and the wall clock is bent by time servers, so CLOCK_MONOTONIC is read
 * once and the runtime's clock, which has the same rate, goes on from there.
 */

/**
 * What to add to this thread's performance.now(), in ms. It uses nothing from outside, because the pacing thread gets its
 * source text.
 */
export function monotonicOriginMs(open: typeof dlopen): number {
  try {
    const libc = open("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
    const spec = new BigInt64Array(2);
    let best = Number.POSITIVE_INFINITY;
    let origin = 0;
    // The tightest of several readings is the one that nothing came between.
    for (let run = 0; run < 16; run += 1) {
      const before = performance.now();
      libc.symbols.clock_gettime(1, spec);
      const after = performance.now();
      if (after - before >= best) continue;
      best = after - before;
      origin = Number(spec[0]) * 1e3 + Number(spec[1]) / 1e6 - (before + after) / 2;
    }
    libc.close();
    return origin;
  } catch {
    // Another C library: the wall clock at the start is as near as it gets.
    return performance.timeOrigin;
  }
}

const originMs = monotonicOriginMs(dlopen);

/** Now, in µs with fractions, on the clock that everything on this machine shares. */
export function nowUs(): number {
  return (originMs + performance.now()) * 1e3;
}
