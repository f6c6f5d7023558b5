import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** Notices changes of the functions' folder by looking at it: that works on every file system, and with the links that orchestrators exchange. */

const LOOK_MS = 500;
/** Files and folders that are looked at; what is beyond is not noticed. */
const ENTRIES_MAX = 1_000;

export class FolderWatch {
  readonly #folder: string;
  readonly #onChange: () => void;
  readonly #timer: Timer;
  /** As the transforms that run have it. */
  #known: string | undefined;
  /** As it was at the last look: a change counts when it has stood still for one. */
  #seen: string | undefined;
  #isLooking = false;

  constructor(folder: string, onChange: () => void) {
    this.#folder = folder;
    this.#onChange = onChange;
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    void this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const seen = await fingerprint(this.#folder);
      this.#known ??= seen;
      if (seen === this.#seen && seen !== this.#known) {
        this.#known = seen;
        this.#onChange();
      }
      this.#seen = seen;
    } finally {
      this.#isLooking = false;
    }
  }
}

/** Names, sizes and times of what is in a folder; "" where there is none. */
async function fingerprint(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  const rows = entries.slice(0, ENTRIES_MAX).map(async (name) => {
    const found = await stat(join(folder, name), { bigint: true }).catch(() => null);
    return found === null ? name : `${name} ${found.ino} ${found.size} ${found.mtimeNs}`;
  });
  return (await Promise.all(rows)).sort().join("\n");
}
