/** Transforms as the metadata log describes them. */
import type { Definition } from "../schema/transform/definition.ts";
import { entityKey } from "./names.ts";
import type { StoredRecord } from "./record-batch.ts";
import type { MetadataChange } from "./routing-state.ts";

export interface StoredTransform {
  readonly namespace: string;
  readonly name: string;
  readonly definition: Definition;
  readonly createdMs: number;
  /** When the definition was put that it has now. */
  readonly changedMs: number;
}

export type TransformEvent =
  | { readonly type: "transform_put"; readonly transform: StoredTransform }
  | { readonly type: "transform_deleted"; readonly transform: StoredTransform };

export class TransformState {
  readonly #transforms = new Map<string, StoredTransform>();

  get count(): number {
    return this.#transforms.size;
  }

  get(namespace: string, name: string): StoredTransform | undefined {
    return this.#transforms.get(transformKey(namespace, name));
  }

  all(): IterableIterator<StoredTransform> {
    return this.#transforms.values();
  }

  /** Applies a record; undefined where it is of another kind. */
  apply(record: StoredRecord): TransformEvent[] | undefined {
    if (!record.key.startsWith("transform ")) return undefined;
    const previous = this.#transforms.get(record.key);
    if (record.value === null) {
      this.#transforms.delete(record.key);
      return previous === undefined ? [] : [{ type: "transform_deleted", transform: previous }];
    }
    const { namespace, name, definition, createdMs, changedMs } = record.value as StoredTransform;
    const transform = { namespace, name, definition, createdMs, changedMs };
    this.#transforms.set(record.key, transform);
    return [{ type: "transform_put", transform }];
  }
}

export function transformKey(namespace: string, name: string): string {
  return entityKey("transform", namespace, name);
}

export function transformRecord(transform: StoredTransform): MetadataChange {
  const { namespace, name } = transform;
  return { key: transformKey(namespace, name), value: { type: "transform", v: 1, ...transform } };
}
