/** One subject: its versions side by side, and whether a schema could be the next. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { sideBySide } from "../core/lines.ts";
import { useQuery } from "../core/query.ts";
import {
  type Candidate,
  checkCandidate,
  compatibilityOf,
  prefixOf,
  registerCandidate,
  registryPath,
  schemaText,
  type SchemaVersion,
} from "../core/registry.ts";
import { linkTo } from "../core/router.ts";
import { Asked, Badge, PageHead, Panel } from "../ui/bits.tsx";
import { Field, type Fields, Form } from "../ui/dialog.tsx";
import { say } from "../ui/toasts.tsx";
import type { PageProps } from "./index.ts";

export function SubjectPage({ words }: PageProps): JSX.Element {
  const [space = "", name = ""] = words;
  const subject = prefixOf(space) + name;
  const versions = useQuery<readonly number[]>(registryPath(["subjects", subject, "versions"]));
  const compatibility = useCompatibility(subject);
  return (
    <div class="page">
      <PageHead
        title={name}
        above={<a href={linkTo(["schemas"])}>Schemas</a>}
        note={
          <>
            New versions are checked as <Badge tone="accent">{compatibility}</Badge>
          </>
        }
      />
      <Asked query={versions}>
        {(all) => (
          <>
            <Comparison key={all.length} subject={subject} versions={all} />
            <CheckPanel subject={subject} latest={all.at(-1)} onRegistered={versions.reload} />
          </>
        )}
      </Asked>
    </div>
  );
}

function useCompatibility(subject: string): string {
  const [level, setLevel] = useState("…");
  useEffect(() => {
    compatibilityOf(subject).then(setLevel, () => setLevel("unknown"));
  }, [subject]);
  return level;
}

function useVersion(subject: string, version: number | undefined) {
  return useQuery<SchemaVersion>(
    version === undefined ? null : registryPath(["subjects", subject, "versions", version]),
  );
}

function Comparison({ subject, versions }: { subject: string; versions: readonly number[] }): JSX.Element {
  const [left, setLeft] = useState(versions.at(-2) ?? versions.at(-1));
  const [right, setRight] = useState(versions.at(-1));
  const [before, after] = [useVersion(subject, left), useVersion(subject, right)];
  const actions = (
    <>
      <VersionChoice label="Left version" versions={versions} value={left} onChoose={setLeft} />
      <VersionChoice label="Right version" versions={versions} value={right} onChoose={setRight} />
    </>
  );
  return (
    <Panel title="Versions" note="side by side" actions={actions}>
      <Asked query={before}>
        {(old) => <Asked query={after}>{(young) => <SideBySide left={old} right={young} />}</Asked>}
      </Asked>
    </Panel>
  );
}

interface VersionChoiceProps {
  readonly label: string;
  readonly versions: readonly number[];
  readonly value: number | undefined;
  onChoose(version: number): void;
}

function VersionChoice({ label, versions, value, onChoose }: VersionChoiceProps): JSX.Element {
  return (
    <select aria-label={label} value={value} onChange={({ currentTarget }) => onChoose(Number(currentTarget.value))}>
      {versions.map((version) => (
        <option key={version} value={version}>
          version {version}
        </option>
      ))}
    </select>
  );
}

function SideBySide({ left, right }: { left: SchemaVersion; right: SchemaVersion }): JSX.Element {
  const pairs = sideBySide(schemaText(left), schemaText(right));
  return (
    <div class="compare" tabIndex={0} role="region" aria-label="Versions side by side">
      <div class="compare-head">
        Version {left.version}, schema {left.id}
      </div>
      <div class="compare-head">
        Version {right.version}, schema {right.id}
      </div>
      {pairs.map((pair, index) => (
        <Lines key={index} {...pair} />
      ))}
    </div>
  );
}

/** Signs say what colours say. */
function Lines({ left, right }: { left: string | null; right: string | null }): JSX.Element {
  return (
    <>
      <pre class={right === null ? "gone" : ""}>
        {right === null ? "− " : "  "}
        {left}
      </pre>
      <pre class={left === null ? "new" : ""}>
        {left === null ? "+ " : "  "}
        {right}
      </pre>
    </>
  );
}

interface CheckPanelProps {
  readonly subject: string;
  readonly latest: number | undefined;
  onRegistered(): void;
}

function CheckPanel({ subject, latest, onRegistered }: CheckPanelProps): JSX.Element {
  const current = useVersion(subject, latest);
  const [faults, setFaults] = useState<readonly string[]>();
  const run = async ({ schema = "", act }: Fields): Promise<void> => {
    const candidate: Candidate = { schema, schemaType: current.data?.schemaType ?? "AVRO" };
    if (act === "register") {
      say(`It is schema ${await registerCandidate(subject, candidate)}`);
      return onRegistered();
    }
    setFaults(await checkCandidate(subject, candidate));
  };
  const register = (
    <button type="submit" name="act" value="register" disabled={faults === undefined || faults.length > 0}>
      Register it
    </button>
  );
  return (
    <Panel title="Could this be the next version?">
      <div class="pad">
        <Asked query={current}>
          {(version) => (
            <Form submit="Check" onSubmit={run} aside={register} onEdit={() => setFaults(undefined)}>
              <Field label="Schema" isWide>
                <textarea name="schema" rows={12} spellcheck={false} defaultValue={schemaText(version)} />
              </Field>
              {faults !== undefined && <Verdict faults={faults} />}
            </Form>
          )}
        </Asked>
      </div>
    </Panel>
  );
}

function Verdict({ faults }: { faults: readonly string[] }): JSX.Element {
  if (faults.length === 0) {
    return (
      <p class="note good" role="status">
        It could: readers and writers of the versions before understand it, as far as they are checked.
      </p>
    );
  }
  return (
    <div class="note bad full" role="status">
      <ul>
        {faults.map((fault) => (
          <li key={fault}>{fault}</li>
        ))}
      </ul>
    </div>
  );
}
