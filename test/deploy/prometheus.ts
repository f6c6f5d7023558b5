/** A real Prometheus, on a free port, with a data folder of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../until.ts";

/** Where `test/tools/setup.mjs` has put the two programs; else they are on the PATH. */
const programs = process.env["MILLRACE_TEST_PROMETHEUS"];

export function program(name: "prometheus" | "promtool"): string {
  return programs === undefined ? name : join(programs, name);
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** Time in seconds, and the value as text. */
  readonly value: readonly [number, string];
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

export interface PrometheusOptions {
  /** A file of alerts. */
  readonly rules?: string;
  /** As Prometheus' `scrape_config` has them. */
  readonly scheme?: "https";
  readonly tls_config?: { readonly ca_file: string };
  readonly basic_auth?: { readonly username: string; readonly password_file: string };
}

const PATIENCE_MS = 60_000;

export class Prometheus implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "millrace-prometheus-"));
  readonly #child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  #log = "";

  /** @param target host and port of a broker's HTTP; it is asked for /metrics all the time. */
  private constructor(target: string, { rules, ...scrape }: PrometheusOptions) {
    // JSON is YAML too.
    const config = {
      global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
      rule_files: rules === undefined ? [] : [rules],
      scrape_configs: [{ job_name: "millrace", static_configs: [{ targets: [target] }], ...scrape }],
    };
    const file = join(this.#folder, "prometheus.yml");
    writeFileSync(file, JSON.stringify(config));
    const flags = [`--config.file=${file}`, `--storage.tsdb.path=${this.#folder}`, "--web.listen-address=127.0.0.1:0"];
    this.#child = Bun.spawn([program("prometheus"), ...flags], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    void this.#read();
  }

  static async start(target: string, options: PrometheusOptions): Promise<Prometheus> {
    const prometheus = new Prometheus(target, options);
    try {
      await until("Prometheus is ready", () => prometheus.#log.includes("Server is ready"), PATIENCE_MS);
    } catch (error) {
      await prometheus[Symbol.asyncDispose]();
      throw new Error(`${(error as Error).message}\n${prometheus.#log}`, { cause: error });
    }
    return prometheus;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) this.#log += decoder.decode(chunk, { stream: true });
  }

  get #url(): string {
    return `http://${/"Listening on" address=(\S+)/.exec(this.#log)?.[1]}`;
  }

  /** @throws what Prometheus says of the expression. */
  async query(expression: string): Promise<Sample[]> {
    const { result } = (await this.#get(`query?query=${encodeURIComponent(expression)}`)) as { result: Sample[] };
    return result;
  }

  async alerts(): Promise<Alert[]> {
    return ((await this.#get("alerts")) as { alerts: Alert[] }).alerts;
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${path}`);
    const { status, data, error } = (await response.json()) as { status: string; data: unknown; error?: string };
    if (status !== "success") throw new Error(`Prometheus: ${error}`);
    return data;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
