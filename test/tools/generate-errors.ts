/** Text of the files generated from src/errors/catalogue.json, before formatting. */

export interface CatalogueEntry {
  readonly name: string;
  readonly code: number;
  readonly http: number;
  readonly retryable: boolean;
  /** May hold {names}, which an error's details fill. */
  readonly message: string;
  readonly action: string;
}

/** What is wrong with the catalogue, one line each; empty when nothing is. */
export function checkCatalogue(entries: readonly CatalogueEntry[]): string[] {
  const faults: string[] = [];
  const names = new Set<string>();
  let last = 0;
  for (const { name, code, http, message, action } of entries) {
    if (!/^[a-z]+(_[a-z]+)*$/.test(name)) faults.push(`${name}: a name is lower-case words joined by _`);
    if (names.has(name)) faults.push(`${name}: the name is used twice`);
    if (!Number.isInteger(code) || code <= last || code > 0xffff) faults.push(`${name}: codes rise, up to 65535`);
    if (http < 400 || http > 599) faults.push(`${name}: ${http} is not an HTTP error status`);
    if (message === "" || action === "") faults.push(`${name}: message and action are needed`);
    names.add(name);
    last = code;
  }
  return faults;
}

export function errorsTypeScript(entries: readonly CatalogueEntry[]): string {
  const lines = entries.map(({ name, ...rest }) => `  ${name}: ${JSON.stringify(rest)},`);
  return `// Generated from catalogue.json by test/tools/generate.ts. Do not edit.

export const ERRORS = {
${lines.join("\n")}
} as const;
`;
}

export function errorsRust(entries: readonly CatalogueEntry[]): string {
  const constant = (name: string): string => name.toUpperCase();
  const retryable = entries.filter((entry) => entry.retryable).map(({ name }) => `Self::${constant(name)}`);
  return `//! Generated from src/errors/catalogue.json by test/tools/generate.ts. Do not edit.

/// A code of the error catalogue, as it stands in frames and in logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
${entries.map(({ name, code, message }) => `    /// ${doc(message)}\n    pub const ${constant(name)}: Self = Self(${code});`).join("\n")}

    /// The catalogue's name of the code, \`unknown\` for a code it does not have.
    #[allow(clippy::too_many_lines, reason = "a line for each code")]
    pub const fn name(self) -> &'static str {
        match self {
${entries.map(({ name }) => `            Self::${constant(name)} => "${name}",`).join("\n")}
            _ => "unknown",
        }
    }

    /// Whether the same operation may succeed when it is tried again unchanged.
    pub const fn retryable(self) -> bool {
        matches!(self, ${retryable.join(" | ")})
    }
}
`;
}

/** Rust's doc comments take [names] for links, and clippy wants code words in backticks. */
function doc(message: string): string {
  const text = message.replace(/\{(\w+)\}/g, "`$1`").replace(/\[[^\]]*\]/g, "`$&`");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
