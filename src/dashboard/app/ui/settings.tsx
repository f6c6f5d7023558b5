/** The settings of a topic or a queue, and their change as JSON. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { patch } from "../core/api.ts";
import type { Settings } from "../core/types.ts";
import { Facts, Panel } from "./bits.tsx";
import { Dialog, Field, type Fields, Form } from "./dialog.tsx";
import { say } from "./toasts.tsx";

interface SettingsProps {
  /** Of the entity, for PATCH. */
  readonly path: string;
  readonly config: Settings;
  readonly etag: string | null;
  onChange(): void;
}

export function SettingsPanel({ path, config, etag, onChange }: SettingsProps): JSX.Element {
  // The tag of what is shown when the dialog opens: a change that somebody else makes meanwhile is not overwritten.
  const [openEtag, setOpenEtag] = useState<{ etag: string | null }>();
  const rows = Object.entries(config).filter(([, value]) => value !== null && value !== undefined);
  const change = async ({ text = "" }: Fields): Promise<void> => {
    await patch(path, { config: changesOf(config, jsonOf(text)) }, openEtag?.etag);
    say("The settings are changed");
    setOpenEtag(undefined);
    onChange();
  };
  const edit = (
    <button type="button" onClick={() => setOpenEtag({ etag })}>
      Change
    </button>
  );
  return (
    <Panel title="Settings" actions={edit}>
      <Facts rows={rows.map(([name, value]) => [name, shown(value)])} />
      {openEtag !== undefined && (
        <Dialog title="Change settings" onClose={() => setOpenEtag(undefined)}>
          <Form submit="Change" onSubmit={change}>
            <Field label="Settings as JSON" hint="A key that is taken out goes back to the broker's default." isWide>
              <textarea name="text" rows={16} spellcheck={false} defaultValue={JSON.stringify(config, null, 2)} />
            </Field>
          </Form>
        </Dialog>
      )}
    </Panel>
  );
}

function shown(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function jsonOf(text: string): Settings {
  const value: unknown = JSON.parse(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Settings;
  throw new Error("The settings are a JSON object.");
}

/** What differs, as a merge patch: null for a key that is gone. */
function changesOf(before: Settings, after: Settings): Settings {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const changed = [...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  return Object.fromEntries(changed.map((name) => [name, after[name] ?? null]));
}
