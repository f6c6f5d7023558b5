/** A field for the name of something that is there, with the names that are. */
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { apiPath } from "../core/api.ts";
import { namespace } from "../core/namespace.ts";
import { useQuery } from "../core/query.ts";
import { useStore } from "../core/store.ts";
import { Field } from "./dialog.tsx";

interface NameFieldProps {
  readonly label: string;
  /** Of the field in its form. */
  readonly name: string;
  readonly kind: "topics" | "queues" | "exchanges";
  readonly value: string;
  readonly isOptional?: boolean;
}

const NAMES_MAX = 1000;

export function NameField({ label, name, kind, value, isOptional = false }: NameFieldProps): JSX.Element {
  const id = useId();
  const space = useStore(namespace);
  const { data } = useQuery<{ items: readonly { name: string }[] }>(
    apiPath([kind], { namespace: space, limit: NAMES_MAX }),
  );
  return (
    <Field label={label}>
      <input
        name={name}
        list={id}
        defaultValue={value}
        required={!isOptional}
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
      />
      <datalist id={id}>
        {data?.items.map((item) => (
          <option key={item.name} value={item.name} />
        ))}
      </datalist>
    </Field>
  );
}
