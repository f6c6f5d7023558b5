/** The subjects that a registry is filled with. */

export function subjectOf(index: number): string {
  return `stock/S${String(index).padStart(5, "0")}-value`;
}

/** A schema of the size of a common one, another for each subject. */
export function schemaOf(index: number): string {
  const fields = [
    { name: "symbol", type: "string", doc: "as on the exchange" },
    { name: "timeMs", type: { type: "long", logicalType: "timestamp-millis" } },
    { name: "price", type: "double" },
    { name: "volume", type: ["null", "long"], default: null },
    { name: `of${index}`, type: "string", default: "" },
  ];
  return JSON.stringify({ type: "record", name: `Tick${index}`, namespace: "stock", doc: "a price", fields });
}
