/** The schema registry, whose interface is Confluent's: src/admin/registry. */
import { request } from "./api.ts";
import { NAMESPACE_DEFAULT } from "./namespace.ts";

const REGISTRY = "/schemas";

export interface SchemaVersion {
  readonly subject: string;
  readonly version: number;
  readonly id: number;
  /** Absent: AVRO. */
  readonly schemaType?: string;
  readonly schema: string;
}

/** @param path below the registry, its words as they are. */
export function registryPath(
  words: readonly (string | number)[],
  query: Readonly<Record<string, string | number | boolean>> = {},
): string {
  const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
  return `${REGISTRY}/${words.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

/** What all subjects of a namespace begin with. */
export function prefixOf(space: string): string {
  return space === NAMESPACE_DEFAULT ? "" : `:.${space}:`;
}

/** A subject as it is called within its namespace. */
export function bareName(subject: string): string {
  return subject.replace(/^:\.[^:]*:/, "");
}

export async function compatibilityOf(subject: string): Promise<string> {
  const path = registryPath(["config", subject], { defaultToGlobal: true });
  const { body } = await request<{ compatibilityLevel: string }>("GET", path);
  return body.compatibilityLevel;
}

export interface Candidate {
  readonly schema: string;
  readonly schemaType: string;
}

/** Whether a schema could be the next version. @returns why not; empty where it could. */
export async function checkCandidate(subject: string, candidate: Candidate): Promise<readonly string[]> {
  const path = registryPath(["compatibility", "subjects", subject, "versions"], { verbose: true });
  const { body } = await request<{ is_compatible: boolean; messages?: string[] }>("POST", path, { body: candidate });
  return body.is_compatible ? [] : (body.messages ?? ["It is not compatible."]);
}

/** @returns the schema's id. */
export async function registerCandidate(subject: string, candidate: Candidate): Promise<number> {
  const path = registryPath(["subjects", subject, "versions"]);
  const { body } = await request<{ id: number }>("POST", path, { body: candidate });
  return body.id;
}

/** As people read it: JSON with its lines. */
export function schemaText({ schema }: Pick<SchemaVersion, "schema">): string {
  try {
    return JSON.stringify(JSON.parse(schema), null, 2);
  } catch {
    return schema;
  }
}
