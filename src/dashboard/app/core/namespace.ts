/** The namespace whose topics, queues and exchanges are shown; this browser keeps the choice. */
import { Store } from "./store.ts";

const KEY = "millrace.namespace";
export const NAMESPACE_DEFAULT = "default";

export const namespace = new Store(localStorage.getItem(KEY) ?? NAMESPACE_DEFAULT);

export function chooseNamespace(name: string): void {
  localStorage.setItem(KEY, name);
  namespace.set(name);
}
