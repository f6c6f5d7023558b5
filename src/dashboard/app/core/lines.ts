/** Which lines two texts have in common: the longest common subsequence. */

export interface LinePair {
  readonly left: string | null;
  readonly right: string | null;
}

/** Longer texts are compared line by line at the same place, because the table would be too large. */
const LINES_MAX = 1500;

/** The lines of both, side by side; null stands where the other text has a line of its own. */
export function sideBySide(left: string, right: string): LinePair[] {
  const [a, b] = [left.split("\n"), right.split("\n")];
  if (a.length > LINES_MAX || b.length > LINES_MAX) {
    return Array.from({ length: Math.max(a.length, b.length) }, (_, at) => ({
      left: a[at] ?? null,
      right: b[at] ?? null,
    }));
  }
  const lengths = commonLengths(a, b);
  const pairs: LinePair[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const [lineLeft, lineRight] = [a[i], b[j]];
    if (lineLeft !== undefined && lineLeft === lineRight) {
      pairs.push({ left: lineLeft, right: lineRight });
      i += 1;
      j += 1;
    } else if (lineLeft !== undefined && (lineRight === undefined || at(lengths, i + 1, j) >= at(lengths, i, j + 1))) {
      pairs.push({ left: lineLeft, right: null });
      i += 1;
    } else {
      pairs.push({ left: null, right: lineRight ?? null });
      j += 1;
    }
  }
  return pairs;
}

/** How many lines the rests from i and j on have in common. */
function commonLengths(a: readonly string[], b: readonly string[]): readonly Uint16Array[] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const row = lengths[i];
      if (row === undefined) continue;
      row[j] = a[i] === b[j] ? at(lengths, i + 1, j + 1) + 1 : Math.max(at(lengths, i + 1, j), at(lengths, i, j + 1));
    }
  }
  return lengths;
}

function at(lengths: readonly Uint16Array[], i: number, j: number): number {
  return lengths[i]?.[j] ?? 0;
}
