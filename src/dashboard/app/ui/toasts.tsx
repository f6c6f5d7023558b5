/** Short words about what was done, at the edge of the page. */
import type { JSX } from "preact";
import { Store, useStore } from "../core/store.ts";

interface Toast {
  readonly id: number;
  readonly text: string;
}

const SHOWN_MS = 5000;
const toasts = new Store<readonly Toast[]>([]);

export function say(text: string): void {
  const id = performance.now();
  toasts.set([...toasts.value, { id, text }]);
  setTimeout(() => toasts.set(toasts.value.filter((toast) => toast.id !== id)), SHOWN_MS);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status">
      {useStore(toasts).map(({ id, text }) => (
        <div key={id}>{text}</div>
      ))}
    </div>
  );
}
