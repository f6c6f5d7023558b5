import { readFileSync } from "node:fs";
import { CliError, EXIT, usageError } from "./exit.ts";

/** Passwords and tokens: from a file, or typed where nobody sees them. Never from the command line, which every user of the machine can list. */

const FILE_BYTES_MAX = 64 * 1024;
const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const ERASE = new Set(["\u007f", "\b"]);

/** What a file holds, without the line's end that editors add. Errors: usage, without a word of what is in it. */
export function secretFile(option: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw usageError(`${option} ${path} cannot be read: ${(error as Error).message}`, "name a file with one line");
  }
  const secret = text.replace(/\r?\n$/, "");
  if (secret !== "" && secret.length <= FILE_BYTES_MAX && !/[\r\n]/.test(secret)) return secret;
  throw usageError(`${option} ${path} does not hold exactly one line`, "write the secret alone into the file");
}

/** Whether somebody can be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks at the terminal and shows nothing of the answer. Errors: interrupted (exit code 130). */
export function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  // First this: what is typed as soon as the question stands there must not be shown either.
  stdin.setRawMode(true);
  stdin.resume();
  stderr.write(question);
  return new Promise((resolve, reject) => {
    let typed = "";
    const end = (how: () => void): void => {
      stdin.off("data", take);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write("\n");
      how();
    };
    const take = (chunk: Buffer): void => {
      for (const character of chunk.toString()) {
        if (character === CTRL_C || character === CTRL_D) {
          end(() => reject(new CliError("interrupted", "no password was given", "run it again", EXIT.interrupted)));
          return;
        }
        if (character === "\r" || character === "\n") {
          end(() => resolve(typed));
          return;
        }
        typed = ERASE.has(character) ? typed.slice(0, -1) : typed + character;
      }
    };
    stdin.on("data", take);
  });
}
