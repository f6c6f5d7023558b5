import { readFileSync } from "node:fs";
import { usageError } from "./exit.ts";

/** A new password: from a file, from standard input, or typed twice where nobody sees it. Never from the command line. */

export interface NewPasswordWords {
  newPassword?: boolean;
  newPasswordFile?: string;
}

const LENGTH_MAX = 1024;
const ENTER = "\r";
const NEWLINE = "\n";
const END_OF_INPUT = "\x04";
const INTERRUPT = "\x03";
const BACKSPACES = new Set(["\x7f", "\b"]);

/** @param isAsked whether it is asked for where no option says so. Returns undefined for none. */
export async function newPasswordOf(words: NewPasswordWords, isAsked: boolean): Promise<string | undefined> {
  const { newPassword = isAsked, newPasswordFile } = words;
  if (newPasswordFile !== undefined) {
    const text = newPasswordFile === "-" ? await Bun.stdin.text() : readFileSync(newPasswordFile, "utf8");
    return checked(text.replace(/\r?\n$/, ""));
  }
  if (!newPassword) return undefined;
  if (!process.stdin.isTTY) {
    throw usageError(
      "there is no terminal to type the password at",
      "give --new-password-file, or - for standard input",
    );
  }
  const password = checked(await typed("New password: "));
  if ((await typed("Again: ")) === password) return password;
  throw usageError("the two are not the same", "type the same password twice");
}

function checked(password: string): string {
  if (password !== "" && password.length <= LENGTH_MAX) return password;
  throw usageError(`a password has 1 to ${LENGTH_MAX} characters`, "choose another one");
}

/** A line of the terminal, without echo. */
function typed(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding("utf8");
  stdin.resume();
  return new Promise((resolve, reject) => {
    let line = "";
    const end = (): void => {
      stdin.off("data", hear);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write("\n");
    };
    const hear = (text: string): void => {
      for (const character of text) {
        if (character === INTERRUPT) {
          end();
          reject(usageError("interrupted", "nothing was changed"));
          return;
        }
        if (character === ENTER || character === NEWLINE || character === END_OF_INPUT) {
          end();
          resolve(line);
          return;
        }
        line = BACKSPACES.has(character) ? line.slice(0, -1) : line + character;
      }
    };
    stdin.on("data", hear);
  });
}
