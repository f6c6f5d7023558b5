/**
 * Holds publishers back before the machine runs out of disk or memory. Looked at a few times a second, on the first worker;
 * the core then keeps publish credit back, where no message pays for it. Readers, acks and administration go on.
 */
import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { totalmem } from "node:os";
import type { Config } from "../config/index.ts";
import { type Engine, type Mailroom, PRESSURE_HOLD, PRESSURE_NONE, PRESSURE_REFUSE } from "../broker/index.ts";
import type { WorkerLoop } from "../net/index.ts";
import type { Logger } from "../stdx/index.ts";

/** At which share of what it may be a use changes its level: up, and with a distance down again. */
interface Marks {
  readonly hold: number;
  readonly refuse: number;
  /** Below it publishers are held back, no longer refused. */
  readonly ease: number;
  /** Below it they go on. */
  readonly release: number;
}

/** The use of a disk is the bytes that have to be free by those that are. */
const DISK: Marks = { hold: 1, refuse: 2, ease: 1.5, release: 0.8 };
const MEMORY: Marks = { hold: 1, refuse: 1.1, ease: 1.05, release: 0.9 };

const LOOK_MS = 100;
/** So often where it may soon be needed: a fast disk stores some megabytes meanwhile. */
const LOOK_CLOSELY_MS = 20;
const DISK_NEAR = 0.5;
const MEMORY_NEAR = 0.9;
const COLLECT_MS = 5_000;
const SHED_NOTICE = "memory.low";
/** Turns' worth of bytes that may wait for a connection while memory is low. */
const SHED_TURNS = 2;
const MEMORY_SHARE = 0.6;
const KIB = 1024;

const WORDS = ["publishers go on", "publishers are held back", "publishers are refused"] as const;

/** The level that follows one, at a use that is 1 at its limit. */
export function nextLevel(level: number, use: number, marks: Marks): number {
  if (use >= marks.refuse || (level === PRESSURE_REFUSE && use >= marks.ease)) return PRESSURE_REFUSE;
  if (use >= marks.hold || (level > PRESSURE_NONE && use >= marks.release)) return PRESSURE_HOLD;
  return PRESSURE_NONE;
}

/** Bytes of the process that no file stands behind. */
export function memoryBytes(): number {
  const status = readFileSync("/proc/self/status", "latin1");
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * KIB;
}

/** What `memoryBytesMax` comes to; infinite where there is no limit. */
export function memoryLimit(memoryBytesMax: number): number {
  if (memoryBytesMax > 0) return memoryBytesMax;
  if (memoryBytesMax < 0) return Number.POSITIVE_INFINITY;
  // Of a container, or of the machine where there is none.
  const constrained = process.constrainedMemory();
  return MEMORY_SHARE * (constrained > 0 ? Math.min(constrained, totalmem()) : totalmem());
}

/** What was seen last. Levels are 0, 1 (held back) and 2 (refused). */
export interface Pressure {
  readonly diskLevel: number;
  readonly memoryLevel: number;
  /** Infinite where nothing is kept on a disk. */
  readonly diskFreeBytes: number;
  /** Of the process, and of logs in memory. */
  readonly memoryBytes: number;
  readonly memoryBytesMax: number;
}

export class Watermarks {
  readonly #engine: Engine;
  readonly #logger: Logger;
  readonly #shed: () => void;
  /** Looked at each time: it may be changed while the broker runs. */
  readonly #config: Config;
  /** Undefined where nothing is kept on a disk. */
  readonly #dataDir: string | undefined;
  #pressure: Pressure;
  #timer: Timer | undefined;
  #isClosed = false;
  #isNear = false;
  /** The last look failed, and that was said. */
  #isBlind = false;
  #collectedMs = Number.NEGATIVE_INFINITY;

  /** @param shed has every worker let go of what slow readers hold. */
  constructor(engine: Engine, config: Config, logger: Logger, shed: () => void) {
    this.#engine = engine;
    this.#shed = shed;
    this.#logger = logger;
    this.#config = config;
    this.#dataDir = config.storage === "disk" ? config.dataDir : undefined;
    this.#pressure = {
      diskLevel: PRESSURE_NONE,
      memoryLevel: PRESSURE_NONE,
      diskFreeBytes: Number.POSITIVE_INFINITY,
      memoryBytes: memoryBytes(),
      memoryBytesMax: memoryLimit(config.memoryBytesMax),
    };
    void this.#look();
  }

  get pressure(): Pressure {
    return this.#pressure;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    try {
      const diskFreeBytes = await this.#diskFree();
      if (this.#isClosed) return;
      this.#judge(diskFreeBytes, memoryBytes() + this.#engine.memoryLogBytes());
      this.#isBlind = false;
    } catch (error) {
      if (!this.#isBlind) this.#logger.warn("free disk or memory could not be looked up", { error });
      this.#isBlind = true;
    }
    // Only then, so that a disk that does not answer is not asked again and again.
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#look(), this.#isNear ? LOOK_CLOSELY_MS : LOOK_MS);
  }

  async #diskFree(): Promise<number> {
    if (this.#dataDir === undefined) return Number.POSITIVE_INFINITY;
    const { bavail, bsize } = await statfs(this.#dataDir);
    return bavail * bsize;
  }

  #judge(diskFreeBytes: number, usedBytes: number): void {
    const before = this.#pressure;
    const { diskFreeBytesMin } = this.#config;
    const memoryBytesMax = memoryLimit(this.#config.memoryBytesMax);
    const diskUse = diskFreeBytesMin === 0 ? 0 : diskFreeBytesMin / diskFreeBytes;
    const diskLevel = nextLevel(before.diskLevel, diskUse, DISK);
    const memoryUse = usedBytes / memoryBytesMax;
    const memoryLevel = nextLevel(before.memoryLevel, memoryUse, MEMORY);
    this.#isNear = diskUse >= DISK_NEAR || memoryUse >= MEMORY_NEAR;
    this.#pressure = { diskLevel, memoryLevel, diskFreeBytes, memoryBytes: usedBytes, memoryBytesMax };
    if (diskLevel !== before.diskLevel) {
      this.#say("disk", before.diskLevel, diskLevel, { diskFreeBytes, diskFreeBytesMin });
    }
    if (memoryLevel !== before.memoryLevel) {
      this.#say("memory", before.memoryLevel, memoryLevel, { memoryBytes: usedBytes, memoryBytesMax });
    }
    const level = Math.max(diskLevel, memoryLevel);
    if (level !== Math.max(before.diskLevel, before.memoryLevel)) this.#engine.pressureSet(level);
    if (memoryLevel > PRESSURE_NONE) this.#collect();
  }

  /** What slow readers hold, and what the collector has not taken yet, is no reason to hold anybody back for long. */
  #collect(): void {
    const nowMs = performance.now();
    if (nowMs - this.#collectedMs < COLLECT_MS) return;
    this.#collectedMs = nowMs;
    this.#shed();
    Bun.gc(true);
  }

  #say(what: string, before: number, level: number, fields: Record<string, unknown>): void {
    const text = `${what} is ${level > PRESSURE_NONE ? "low" : "enough again"}: ${WORDS[level]}`;
    if (level > before) this.#logger.warn(text, fields);
    else this.#logger.info(text, fields);
  }
}

interface Watched {
  readonly engine: Engine;
  readonly config: Config;
  readonly logger: Logger;
  readonly mailroom: Mailroom;
  readonly loop: WorkerLoop;
}

/** The first worker looks, and all let go of what slow readers hold. */
export function watch({ engine, config, logger, mailroom, loop }: Watched): Watermarks | undefined {
  const shed = (): void => loop.shed(SHED_TURNS * config.writeBytesPerTurn);
  mailroom.onNotice(SHED_NOTICE, shed);
  if (engine.worker > 0) return undefined;
  return new Watermarks(engine, config, logger, () => {
    shed();
    mailroom.notifyOthers(SHED_NOTICE, null);
  });
}
