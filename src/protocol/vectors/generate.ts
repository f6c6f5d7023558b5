import { allVectors } from "./build.ts";

/** Writes the test vectors beside this file: `bun src/protocol/vectors/generate.ts`. */

for (const [file, vectors] of Object.entries(allVectors())) {
  await Bun.write(new URL(file, import.meta.url), `${JSON.stringify(vectors, null, 2)}\n`);
}
