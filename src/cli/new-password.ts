import { readFileSync } from "node:fs";
import { usageError } from "./exit.ts";
import { askSecret } from "./secret.ts";

/** A new password: from a file, from standard input, or typed twice where nobody sees it. Never from the command line. */

export interface NewPasswordWords {
  newPassword?: boolean;
  newPasswordFile?: string;
}

const LENGTH_MAX = 1024;

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
  const password = checked(await askSecret("New password: "));
  if ((await askSecret("Again: ")) === password) return password;
  throw usageError("the two are not the same", "type the same password twice");
}

function checked(password: string): string {
  if (password !== "" && password.length <= LENGTH_MAX) return password;
  throw usageError(`a password has 1 to ${LENGTH_MAX} characters`, "choose another one");
}
