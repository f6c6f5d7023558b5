/** What the bench binaries of core/benches say about their works. */

export interface Work {
  readonly name: string;
  /** What the figures are per: record, batch, call. */
  readonly item: string;
  /** Items of one run. */
  readonly items: number;
  /** Bytes of one run; 0 where they say nothing. */
  readonly bytes: number;
}

/** Reads the lines `name/item items bytes` of `instructions --works`. */
export function parseWorks(text: string): Work[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, name = "", item = "", items, bytes] = /^([\w-]+)\/(\w+) (\d+) (\d+)$/.exec(line) ?? [];
      if (name === "") throw new Error(`not a line about a work: ${line}`);
      return { name, item, items: Number(items), bytes: Number(bytes) };
    });
}
