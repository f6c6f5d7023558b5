import { expect, test } from "bun:test";
import { place, ServerProcess } from "./server-process.ts";

/** The broker is killed again and again while schemas are registered. What was acknowledged keeps its id and version. */

const ROUNDS = process.env["MILLRACE_LONG"] ? 30 : 3;
const LANES = 8;
const ACKED_PER_ROUND = 150;
const TIMEOUT_MS = 300_000;

interface Acked {
  readonly subject: string;
  readonly version: number;
  readonly id: number;
  readonly schema: string;
}

class Registrar {
  readonly acked: Acked[] = [];
  readonly #base: string;
  #next = 0;

  constructor(httpPort: number) {
    this.#base = `http://127.0.0.1:${httpPort}/schemas`;
  }

  /** Registers one schema after another, each with one field more than the last, until the broker is gone. */
  async work(): Promise<void> {
    for (;;) {
      const number = this.#next++;
      const subject = `s${number % 20}`;
      const fields = [{ name: `f${number}`, type: "int", default: 0 }];
      const schema = JSON.stringify({ type: "record", name: "R", fields });
      const body = JSON.stringify({ schema });
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${this.#base}/subjects/${subject}/versions`, {
        method: "POST",
        body,
        headers,
      }).catch(() => undefined);
      // It is gone, or going: what it did not answer may be there or not.
      if (response?.status !== 200) return;
      const answer = (await response.json().catch(() => undefined)) as Acked | undefined;
      if (answer === undefined) return;
      this.acked.push({ subject, version: answer.version, id: answer.id, schema });
    }
  }

  async checkAll(): Promise<void> {
    const rows = (await (await fetch(`${this.#base}/schemas`)).json()) as Acked[];
    const found = new Map(rows.map((row) => [`${row.subject} ${row.version}`, row]));
    for (const { subject, version, id, schema } of this.acked) {
      expect(found.get(`${subject} ${version}`)).toMatchObject({ id, schema });
    }
    // One id for one schema, and one schema for one id.
    expect(new Set(rows.map(({ id }) => id)).size).toBe(new Set(rows.map(({ schema }) => schema)).size);
  }
}

test(
  "kill -9 takes no schema that was acknowledged, and gives no id twice",
  async () => {
    await using where = await place();
    const registrar = new Registrar(where.httpPort);
    let server = await ServerProcess.start(where);
    for (let round = 0; round < ROUNDS; round += 1) {
      const target = registrar.acked.length + ACKED_PER_ROUND;
      const lanes = Array.from({ length: LANES }, () => registrar.work());
      while (registrar.acked.length < target) await Bun.sleep(1);
      await server.kill();
      await Promise.all(lanes);
      server = await ServerProcess.start(where);
      await registrar.checkAll();
    }
    expect(await server.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
