/** Shortcuts of one key, or of `g` and one key. None works while something is typed or a dialog is open. */
import { useEffect, useRef } from "preact/hooks";

export interface Shortcut {
  /** `t`, `?`, or two after another: `g q`. */
  readonly keys: string;
  readonly what: string;
  run(): void;
}

const SEQUENCE_MS = 1500;

export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const current = useRef(shortcuts);
  current.current = shortcuts;
  useEffect(() => {
    let first = "";
    let firstAtMs = 0;
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isDialogOpen()) return;
      const prefix = event.timeStamp - firstAtMs < SEQUENCE_MS ? `${first} ` : "";
      const found =
        current.current.find(({ keys }) => keys === prefix + event.key) ??
        current.current.find(({ keys }) => keys === event.key);
      first = found === undefined ? event.key : "";
      firstAtMs = event.timeStamp;
      if (found === undefined) return;
      event.preventDefault();
      found.run();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

function isDialogOpen(): boolean {
  return document.querySelector("dialog[open]") !== null;
}
