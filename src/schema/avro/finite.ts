/** A record that holds itself without end (not in an array, a map or beside another branch of a union) has no value. */
import { invalidSchema } from "../faults.ts";
import type { AvroField, AvroRecord, AvroType } from "./ast.ts";

/** A field that waits for one of some records to be found finite. */
interface Waiting {
  readonly owner: AvroRecord;
  isSettled: boolean;
}

/** @throws schema_invalid naming a record that no value can have. */
export function checkFinite(type: AvroType): void {
  const records = recordsOf(type);
  const waitingFor = new Map<AvroRecord, Waiting[]>();
  const openFields = new Map<AvroRecord, number>();
  const found: AvroRecord[] = [];
  for (const owner of records) {
    const open = owner.fields.map(recordsNeeded).filter((needed) => needed.length > 0);
    openFields.set(owner, open.length);
    if (open.length === 0) found.push(owner);
    for (const needed of open) {
      const waiting: Waiting = { owner, isSettled: false };
      for (const record of needed) listAt(waitingFor, record).push(waiting);
    }
  }
  for (let record = found.pop(); record !== undefined; record = found.pop()) {
    for (const waiting of waitingFor.get(record) ?? []) {
      if (waiting.isSettled) continue;
      waiting.isSettled = true;
      const left = (openFields.get(waiting.owner) ?? 0) - 1;
      openFields.set(waiting.owner, left);
      if (left === 0) found.push(waiting.owner);
    }
  }
  const endless = [...records].find((record) => (openFields.get(record) ?? 0) > 0);
  if (endless === undefined) return;
  const isOpen = (field: AvroField): boolean =>
    recordsNeeded(field).some((needed) => (openFields.get(needed) ?? 0) > 0);
  throw invalidSchema(
    `record "${endless.name}" holds itself without end through the field "${endless.fields.find(isOpen)?.name}"; ` +
      "make the field a union with null, an array or a map",
  );
}

function listAt(lists: Map<AvroRecord, Waiting[]>, record: AvroRecord): Waiting[] {
  const list = lists.get(record) ?? [];
  lists.set(record, list);
  return list;
}

/** The records of which the field needs one to be finite; none where it is finite by itself. */
function recordsNeeded({ type }: AvroField): readonly AvroRecord[] {
  if (type.kind === "record") return [type];
  if (type.kind !== "union") return [];
  const records = type.branches.filter((branch) => branch.kind === "record");
  return records.length === type.branches.length ? records : [];
}

/** Every record that the type reaches. */
function recordsOf(type: AvroType): Set<AvroRecord> {
  const seen = new Set<AvroRecord>();
  const waiting: AvroType[] = [type];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (next.kind === "array") waiting.push(next.items);
    else if (next.kind === "map") waiting.push(next.values);
    else if (next.kind === "union") waiting.push(...next.branches);
    else if (next.kind === "record" && !seen.has(next)) {
      seen.add(next);
      for (const field of next.fields) waiting.push(field.type);
    }
  }
  return seen;
}
