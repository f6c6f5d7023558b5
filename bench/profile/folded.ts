/** Folded stacks: `outermost;...;innermost weight`, one stack a line. What perf saw is made readable, and summed up. */

export interface Share {
  readonly frame: string;
  /** Of all samples, in percent: with the frame innermost, and with it anywhere. */
  readonly selfPercent: number;
  readonly totalPercent: number;
}

/** Bun's own code has no symbols, and what JavaScript was compiled to has no names here: the JavaScript graph has them. */
function readable(frame: string): string {
  if (/^\[perf-\d+\.map\]$/.test(frame)) return "JavaScript";
  if (/^\[(bun(-profile)?(\.exe)?|millrace)\]$/.test(frame)) return "Bun";
  return frame;
}

interface Stack {
  readonly frames: readonly string[];
  readonly weight: number;
}

function* stacksOf(folded: string): IterableIterator<Stack> {
  for (const line of folded.split("\n")) {
    const end = line.lastIndexOf(" ");
    const weight = Number(line.slice(end + 1));
    if (end > 0 && weight > 0) yield { frames: line.slice(0, end).split(";"), weight };
  }
}

/** Names what has no symbols and makes one frame of its repetitions, so that stacks of the same course fall together. */
export function tidied(folded: string): string {
  const sums = new Map<string, number>();
  for (const { frames, weight } of stacksOf(folded)) {
    const named = frames.map(readable);
    const isKept = (frame: string, at: number): boolean =>
      frame !== named[at - 1] || (frame !== "Bun" && frame !== "JavaScript");
    const stack = named.filter(isKept).join(";");
    sums.set(stack, (sums.get(stack) ?? 0) + weight);
  }
  return [...sums].map(([stack, weight]) => `${stack} ${weight}\n`).join("");
}

/** The frames that hold most samples themselves, the largest first. The outermost frame (the thread's name) does not count. */
export function sharesOf(folded: string, countMax: number): Share[] {
  const self = new Map<string, number>();
  const total = new Map<string, number>();
  let all = 0;
  for (const { frames, weight } of stacksOf(folded)) {
    all += weight;
    const innermost = frames.at(-1) ?? "";
    self.set(innermost, (self.get(innermost) ?? 0) + weight);
    for (const frame of new Set(frames.slice(1))) total.set(frame, (total.get(frame) ?? 0) + weight);
  }
  const percent = (weight: number): number => (100 * weight) / all;
  return [...self]
    .map(([frame, weight]) => ({
      frame,
      selfPercent: percent(weight),
      totalPercent: percent(total.get(frame) ?? weight),
    }))
    .sort((a, b) => b.selfPercent - a.selfPercent)
    .slice(0, countMax);
}
