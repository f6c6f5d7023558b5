import type { JSX } from "preact";
import type { Shortcut } from "../core/keys.ts";
import { Dialog } from "./dialog.tsx";

/** The keys that work, as `?` shows them. */
export function HelpDialog({ shortcuts, onClose }: { shortcuts: readonly Shortcut[]; onClose(): void }): JSX.Element {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl class="shortcuts">
        {shortcuts.map(({ keys, what }) => (
          <ShortcutRow key={keys} keys={keys} what={what} />
        ))}
        <ShortcutRow keys="Esc" what="Close what is open" />
      </dl>
    </Dialog>
  );
}

function ShortcutRow({ keys, what }: { keys: string; what: string }): JSX.Element {
  return (
    <>
      <dt>
        {keys.split(" ").map((key, index) => (
          <kbd key={`${key}${index}`}>{key}</kbd>
        ))}
      </dt>
      <dd>{what}</dd>
    </>
  );
}
