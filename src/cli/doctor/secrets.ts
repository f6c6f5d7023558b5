/** Certificate and secrets that the settings name: how long, and who may read them. What is in them is not told. */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";

export interface Certificate {
  readonly path: string;
  /** When it expires; undefined where there is none to be read. */
  readonly untilMs: number | undefined;
}

export interface SecretFile {
  readonly path: string;
  /** Its permissions; undefined where it cannot be looked at. */
  readonly mode: number | undefined;
}

/** The first certificate of the file: the broker's own, its chain follows. */
export function certificateOf(path: string): Certificate {
  try {
    return { path, untilMs: Date.parse(new X509Certificate(readFileSync(path)).validTo) };
  } catch {
    return { path, untilMs: undefined };
  }
}

export function secretOf(path: string): SecretFile {
  try {
    return { path, mode: statSync(path).mode & 0o777 };
  } catch {
    return { path, mode: undefined };
  }
}
