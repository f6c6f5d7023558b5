/** Text of the files generated from src/protocol/ops.json, before formatting. */

export interface OpEntry {
  readonly name: string;
  readonly op: number;
  readonly direction: "client" | "server" | "both";
  readonly doc: string;
  readonly grammar: string;
}

const DIRECTIONS = ["client", "server", "both"];

/** What is wrong with the table, one line each; empty when nothing is. */
export function checkOps(ops: readonly OpEntry[]): string[] {
  const faults: string[] = [];
  const names = new Set<string>();
  let last = 0;
  for (const { name, op, direction, doc, grammar } of ops) {
    if (!/^[A-Z]+(_[A-Z]+)*$/.test(name)) faults.push(`${name}: a name is upper-case words joined by _`);
    if (names.has(name)) faults.push(`${name}: the name is used twice`);
    // The core keeps an op in one byte. In msgpack those past 127 take two, so what is sent often stays below.
    if (!Number.isInteger(op) || op <= last || op > 255) faults.push(`${name}: ops rise, up to 255`);
    if (!DIRECTIONS.includes(direction)) faults.push(`${name}: direction is one of ${DIRECTIONS.join(", ")}`);
    if (!grammar.startsWith(`[${op},`)) faults.push(`${name}: the grammar begins with its op`);
    if (doc === "") faults.push(`${name}: doc is needed`);
    names.add(name);
    last = op;
  }
  return faults;
}

export function opsTypeScript(ops: readonly OpEntry[]): string {
  return `// Generated from ops.json by test/tools/generate.ts. Do not edit.

export const Op = {
${ops.map(({ name, op, doc }) => `  /** ${doc} */\n  ${name}: ${op},`).join("\n")}
} as const;
`;
}

export function opsRust(ops: readonly OpEntry[]): string {
  return `//! Generated from src/protocol/ops.json by test/tools/generate.ts. Do not edit.

${ops.map(({ name, op, doc }) => `/// ${doc}\npub const ${name}: u8 = ${op};`).join("\n")}
`;
}
