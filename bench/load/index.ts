/** The load that users point at a running broker: `millrace bench`, `npm run bench -- load`. */
export async function runBench(_words: string[], _name: string): Promise<number> {
  throw new Error("not there yet");
}
