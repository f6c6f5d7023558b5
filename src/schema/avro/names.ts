/** Avro's names: a simple name, and a namespace of simple names joined by dots. */

const SIMPLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

export function isSimpleName(name: string): boolean {
  return SIMPLE.test(name);
}

export function isFullName(name: string): boolean {
  return name.split(".").every(isSimpleName);
}

export function namespaceOf(fullName: string): string {
  const end = fullName.lastIndexOf(".");
  return end < 0 ? "" : fullName.slice(0, end);
}

export function simpleNameOf(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf(".") + 1);
}

/** A name as a schema writes it, in the namespace around it. */
export function fullNameOf(name: string, namespace: string): string {
  if (name.includes(".")) return name.startsWith(".") ? name.slice(1) : name;
  return namespace === "" ? name : `${namespace}.${name}`;
}

/** The shortest way to write a full name inside a namespace. */
export function qualifiedIn(fullName: string, namespace: string): string {
  return namespaceOf(fullName) === namespace ? simpleNameOf(fullName) : fullName;
}
