/** Programs that the compiled binary can be, by the name of their file: `bench-program NAME`, which nobody types. */
const PROGRAMS: Readonly<Record<string, () => Promise<unknown>>> = {
  "load-worker": () => import("./load-worker.ts"),
};

export async function runNamedProgram(name: string): Promise<void> {
  const start = PROGRAMS[name];
  if (start === undefined) throw new Error(`${name} is no program`);
  await start();
}
