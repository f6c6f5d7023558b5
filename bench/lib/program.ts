/**
 * The child's side of `processes.ts`: a program in a process of its own, which says one line of JSON about itself and then
 * answers one line of JSON for each that comes on standard input. It ends when standard input does.
 */

const HIDDEN_WORD = "bench-program";

export type Handler = (message: unknown) => Promise<unknown>;

/** What a request that failed is answered with. */
export interface Refusal {
  readonly error: { readonly name: string; readonly message: string; readonly code?: number };
}

/** The words behind the program's name, in a checkout and in the compiled binary. */
export function programArgs(): string[] {
  const words = process.argv.slice(2);
  return words[0] === HIDDEN_WORD ? words.slice(2) : words;
}

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value ?? null)}\n`);
}

function refusal(error: unknown): Refusal {
  const { name, message, code } = error as Error & { code?: unknown };
  return { error: { name, message, ...(typeof code === "number" ? { code } : {}) } };
}

/** Answers until standard input ends, then ends the process. Requests are handled one after another. */
export async function runProgram(info: Record<string, unknown>, handle: Handler): Promise<never> {
  // Ctrl-C reaches the whole group of processes; whoever started this one says when it is over.
  process.on("SIGINT", () => undefined);
  say(info);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of Bun.stdin.stream()) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      say(
        await Promise.resolve(JSON.parse(line) as unknown)
          .then(handle)
          .catch(refusal),
      );
    }
  }
  process.exit(0);
}
