/** Folds what `bun --cpu-prof` writes: the V8 .cpuprofile format, a tree of calls and the node of each sample. */

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** From 0; -1 for code of the runtime. */
  readonly lineNumber: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[];
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Ids of nodes. */
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

/** `name (src/net/tcp.ts:12)`; code of the runtime has its name only. */
function frameName({ functionName, url, lineNumber }: CallFrame): string {
  const name = (functionName === "" ? "(anonymous)" : functionName).replaceAll(";", ",");
  const [file] = /(?:src|bench|node_modules)\/.*$/.exec(url) ?? [];
  return file === undefined ? name : `${name} (${file.replaceAll(";", ",")}:${lineNumber + 1})`;
}

/** Whether the profile is of the process that starts the load's others and then waits: waiting is sampled as well. */
export function isWaiting({ nodes }: CpuProfile): boolean {
  return nodes.some(({ callFrame }) => callFrame.url.endsWith("bench/main.ts"));
}

/** Folded stacks, weighed in microseconds. Time without JavaScript has the root alone and is left out. */
export function foldCpuProfile({ nodes, samples, timeDeltas }: CpuProfile): string {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const stacks = new Map<number, string>();
  const stackOf = (id: number): string => {
    const known = stacks.get(id);
    if (known !== undefined) return known;
    const node = byId.get(id);
    const parent = parents.get(id);
    const own = node === undefined || parent === undefined ? "" : frameName(node.callFrame);
    const above = parent === undefined ? "" : stackOf(parent);
    const stack = above === "" ? own : `${above};${own}`;
    stacks.set(id, stack);
    return stack;
  };
  const sums = new Map<string, number>();
  samples.forEach((id, at) => {
    const stack = stackOf(id);
    const weight = Math.max(0, timeDeltas[at] ?? 0);
    if (stack !== "" && stack !== "(idle)") sums.set(stack, (sums.get(stack) ?? 0) + weight);
  });
  return [...sums].map(([stack, weight]) => `${stack} ${weight}\n`).join("");
}
