/** Rules for the names of namespaces, topics, groups and instances. */

const ALLOWED = /^[A-Za-z0-9._/:-]+$/;
const NAME_BYTES_MAX = 249;

/**
 * Why `name` cannot be used, or undefined when it can.
 *
 * The rules keep names usable as path words, as pattern words and as parts of a record key: no spaces, no empty path
 * words, and nothing that a file system or a shell would take for something else.
 */
export function nameFault(name: string): string | undefined {
  if (name.length === 0) return "a name has at least 1 byte";
  if (name.length > NAME_BYTES_MAX) return `a name has at most ${NAME_BYTES_MAX} bytes, this one has ${name.length}`;
  if (!ALLOWED.test(name)) return "a name holds only the characters A-Z a-z 0-9 . _ / : -";
  if (name.startsWith("__")) return 'names that start with "__" belong to the broker';
  if (name.startsWith("/") || name.endsWith("/")) return 'a name neither starts nor ends with "/"';
  if (name.includes("//")) return 'a name has no empty path word ("//")';
  for (const word of name.split("/")) {
    if (word === "." || word === "..") return `a name has no path word "${word}"`;
  }
  return undefined;
}

/**
 * Key of an entity in the metadata and offsets logs. Parts are joined by a space, which no name can contain, so that
 * ("a/b", "c") and ("a", "b/c") stay different.
 */
export function entityKey(...parts: (string | number)[]): string {
  return parts.join(" ");
}

/** FNV-1a over the UTF-16 units: stable over restarts, which is all that owner workers and namespaces ask of it. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) {
    hash ^= name.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}
