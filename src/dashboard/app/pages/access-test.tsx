import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, post } from "../core/api.ts";
import { namespace } from "../core/namespace.ts";
import { useStore } from "../core/store.ts";
import { Panel } from "../ui/bits.tsx";
import { Field, type Fields, Form } from "../ui/dialog.tsx";
import { KINDS, RIGHTS } from "./access-permissions.tsx";

interface Verdict {
  readonly allowed: boolean;
  /** What decided: a rule, or a role that is built in. */
  readonly rule: string | null;
}

/** Asks the broker's own decision, by all rules and roles as they are. */
export function TestTab(): JSX.Element {
  const space = useStore(namespace);
  const [verdict, setVerdict] = useState<Verdict>();
  const ask = async ({ principal, operation, kind, name, at }: Fields): Promise<void> => {
    const resource = { kind, ...(at && { namespace: at }), ...(name && { name }) };
    setVerdict(await post<Verdict>(apiPath(["permissions", "test"]), { principal, operation, resource }));
  };
  return (
    <Panel title="Who may?">
      <div class="pad">
        <Form submit="Ask" onSubmit={ask} isInline>
          <Field label="User or principal">
            <input name="principal" required autoComplete="off" autoCapitalize="none" spellcheck={false} />
          </Field>
          <Field label="Wants to">
            <select name="operation">
              {RIGHTS.map((right) => (
                <option key={right} selected={right === "read"}>
                  {right}
                </option>
              ))}
            </select>
          </Field>
          <Field label="The">
            <select name="kind">
              {KINDS.map((kind) => (
                <option key={kind}>{kind}</option>
              ))}
            </select>
          </Field>
          <Field label="Named">
            <input name="name" autoComplete="off" spellcheck={false} />
          </Field>
          <Field label="In the namespace">
            <input name="at" defaultValue={space} autoComplete="off" spellcheck={false} />
          </Field>
          {verdict !== undefined && <VerdictNote verdict={verdict} />}
        </Form>
      </div>
    </Panel>
  );
}

function VerdictNote({ verdict: { allowed, rule } }: { verdict: Verdict }): JSX.Element {
  return (
    <p class={`note ${allowed ? "good" : "bad"}`} role="status">
      {allowed ? "Yes" : "No"}
      {rule === null ? ": nothing allows it." : `, by ${rule}.`}
    </p>
  );
}
