/** Tables for people: columns aligned, numbers to the right. */

export type Cell = string | number | null | undefined;

const GAP = "  ";
const BOLD = "\x1b[1m";
const RESET = "\x1b[0m";

function textOf(cell: Cell): string {
  return cell === null || cell === undefined ? "-" : String(cell);
}

function isNumeric(cell: Cell): boolean {
  return typeof cell === "number" || cell === null || cell === undefined;
}

function pad(text: string, width: number, isRight: boolean): string {
  const fill = " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
  return isRight ? fill + text : text + fill;
}

/**
 * The table as text with a final line end.
 *
 * @param right names of further columns to align to the right, such as texts with units
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  options: { color?: boolean; right?: readonly string[] } = {},
): string {
  const isRight = headings.map(
    (heading, column) =>
      options.right?.includes(heading) === true || (rows.length > 0 && rows.every((row) => isNumeric(row[column]))),
  );
  const texts = rows.map((row) => headings.map((_, column) => textOf(row[column])));
  const widths = headings.map((heading, column) =>
    texts.reduce((width, row) => Math.max(width, Bun.stringWidth(row[column] ?? "")), Bun.stringWidth(heading)),
  );
  const lineOf = (row: readonly string[]): string =>
    row
      .map((text, column) => pad(text, widths[column] ?? 0, isRight[column] === true))
      .join(GAP)
      .trimEnd();
  const head = lineOf(headings);
  const lines = [options.color === true ? BOLD + head + RESET : head, ...texts.map(lineOf)];
  return `${lines.join("\n")}\n`;
}

/** Names and values below each other. */
export function fields(rows: readonly (readonly [string, Cell])[]): string {
  const width = rows.reduce((most, [name]) => Math.max(most, name.length), 0);
  return rows.map(([name, value]) => `${name.padEnd(width)}${GAP}${textOf(value)}\n`).join("");
}
