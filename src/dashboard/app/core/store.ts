import { useEffect, useState } from "preact/hooks";

/** A value that components watch. */
export class Store<T> {
  #value: T;
  readonly #watchers = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    this.#value = value;
    // A watcher may watch again while it is told.
    for (const watcher of [...this.#watchers]) watcher(value);
  }

  /** @returns what ends the watching. */
  watch(watcher: (value: T) => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.value);
  useEffect(() => {
    // It may have changed between the first drawing and this.
    setValue(() => store.value);
    return store.watch((changed) => setValue(() => changed));
  }, [store]);
  return value;
}
