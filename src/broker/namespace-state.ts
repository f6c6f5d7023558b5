/** The namespaces that the metadata log names. */
import { entityKey } from "./names.ts";
import type { StoredRecord } from "./record-batch.ts";

export interface Namespace {
  readonly name: string;
  readonly description: string | null;
  readonly createdMs: number;
}

const KEY = /^namespace (\S+)$/;

export class NamespaceState {
  readonly #namespaces = new Map<string, Namespace>();

  get size(): number {
    return this.#namespaces.size;
  }

  find(name: string): Namespace | undefined {
    return this.#namespaces.get(name);
  }

  names(): IterableIterator<string> {
    return this.#namespaces.keys();
  }

  /** @returns undefined for a record that is no namespace's. */
  apply({ key, value }: StoredRecord): [] | undefined {
    const [, name] = KEY.exec(key) ?? [];
    if (name === undefined) return undefined;
    const { description, createdMs } = (value ?? {}) as Namespace;
    if (value === null) this.#namespaces.delete(name);
    else this.#namespaces.set(name, { name, description, createdMs });
    return [];
  }
}

export function namespaceKey(name: string): string {
  return entityKey("namespace", name);
}
