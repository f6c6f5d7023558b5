import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";
import { until } from "../until.ts";
import { type Alert, program, Prometheus } from "./prometheus.ts";

/** The alerts and the dashboard that are shipped, against a broker under load and a real Prometheus that scrapes it. */

const folder = join(import.meta.dir, "../../src/metrics");
const RULES = join(folder, "prometheus/alerts.yml");
const RULES_TEST = join(folder, "prometheus/alerts.test.yml");
const DASHBOARD = join(folder, "grafana/millrace.json");
const PATIENCE_MS = 90_000;

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly id: number;
  readonly targets?: readonly { readonly expr: string; readonly refId: string; readonly datasource: unknown }[];
}

interface Dashboard {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly Panel[];
}

const dashboard = JSON.parse(readFileSync(DASHBOARD, "utf8")) as Dashboard;
const expressions = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));

const data = mkdtempSync(join(tmpdir(), "millrace-alerts-"));
let broker: Broker;
let client: Client;
let prometheus: Prometheus;

beforeAll(async () => {
  broker = await Broker.start({ dataDir: data, port: 0, httpPort: 0 });
  client = await connect(`millrace://127.0.0.1:${broker.port}`);
  prometheus = await Prometheus.start(`127.0.0.1:${broker.httpPort}`, { rules: RULES });
  await prepare();
}, 180_000);

afterAll(async () => {
  await client?.close();
  await prometheus?.[Symbol.asyncDispose]();
  await broker?.stop();
  rmSync(data, { recursive: true });
});

/** Something of everything that metrics tell of: a topic with keys, a group that is behind, a queue with dead letters to come. */
async function prepare(): Promise<void> {
  await client.topics.create("orders", { partitions: 2 });
  await client.quotas.put({ kind: "namespace", name: "default", topicsMax: 100 });
  await client.queue("dead").declare();
  await client.queue("work").declare({ deadLetter: { exchange: "", routingKey: "dead" } });
  const producer = client.producer("orders");
  for (let index = 0; index < 50; index += 1) await producer.send({ key: `k${index % 5}`, value: "x" });
  await client.group("billing").commit([{ topic: "orders", partition: 0, offset: 1 }]);
  await client.queue("work").publish("to be rejected");
}

test("promtool takes the rules, and each alert fires when it should and not before", () => {
  for (const words of [
    ["check", "rules", RULES],
    ["test", "rules", RULES_TEST],
  ]) {
    const { exitCode, stdout, stderr } = Bun.spawnSync([program("promtool"), ...words], { stdin: "ignore" });
    expect([exitCode, exitCode === 0 ? "" : `${stdout.toString()}${stderr.toString()}`]).toEqual([0, ""]);
  }
});

test("each alert has a test, a severity, a summary and something to do", () => {
  const rules = readFileSync(RULES, "utf8");
  const tests = readFileSync(RULES_TEST, "utf8");
  const names = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = ""]) => name);
  expect(names.length).toBeGreaterThan(5);
  for (const name of names) expect(tests).toContain(`alertname: ${name}\n`);
  for (const field of ["labels: { severity: (?:critical|warning) }", "summary:", "action:"])
    expect(rules.match(new RegExp(field, "g"))).toHaveLength(names.length);
});

test("promtool finds nothing to complain about in what a broker exposes", async () => {
  const text = await (await fetch(`http://127.0.0.1:${broker.httpPort}/metrics`)).text();
  const { exitCode, stdout, stderr } = Bun.spawnSync([program("promtool"), "check", "metrics"], {
    stdin: new Blob([text]),
  });
  expect([exitCode, `${stdout.toString()}${stderr.toString()}`]).toEqual([0, ""]);
});

test("every metric that the dashboard and the alerts name is one of a broker that runs", async () => {
  const text = await (await fetch(`http://127.0.0.1:${broker.httpPort}/metrics`)).text();
  const known = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name));
  const named = [
    ...JSON.stringify(dashboard).matchAll(/millrace_\w+/g),
    ...readFileSync(RULES, "utf8").matchAll(/millrace_\w+/g),
  ];
  const missing = named.map(([name]) => name).filter((name) => !known.has(name.replace(/_bucket$/, "")));
  expect([...new Set(missing)]).toEqual([]);
});

test("every expression of the dashboard finds something in Prometheus", async () => {
  const filled = (expr: string): string =>
    expr.replaceAll("$instance", ".*").replaceAll("$namespace", ".*").replaceAll("$__rate_interval", "1m");
  for (const { title, expr } of expressions) {
    expect(filled(expr)).not.toContain("$");
    await until(`${title}: ${expr}`, async () => (await prometheus.query(filled(expr))).length > 0, PATIENCE_MS);
  }
}, 300_000);

test("a message that is rejected becomes a dead letter, and the alert of it fires", async () => {
  const series = 'millrace_queue_dead_lettered_total{queue="work"}';
  // An increase needs a value before it.
  await until("Prometheus has seen the queue", async () => (await prometheus.query(series)).length > 0, PATIENCE_MS);
  expect((await prometheus.alerts()).map(({ labels }) => labels["alertname"])).not.toContain("MillraceDeadLetters");
  const [message] = await client.queue("work").get(1, { waitMs: 10_000 });
  await message?.reject();
  const isOurs = ({ labels, state }: Alert): boolean =>
    labels["alertname"] === "MillraceDeadLetters" && labels["queue"] === "work" && state === "firing";
  const alert = await until("it fires", async () => (await prometheus.alerts()).find(isOurs), PATIENCE_MS);
  expect(alert.labels).toMatchObject({ severity: "warning", namespace: "default", instance: expect.any(String) });
  expect(alert.annotations["summary"]).toContain("dead letters of default:work in 5 minutes");
}, 180_000);

test("the dashboard is one that Grafana takes: panels side by side, each with queries of the chosen Prometheus", () => {
  const { uid, schemaVersion, templating, panels } = dashboard;
  expect([uid, schemaVersion]).toEqual(["millrace", 39]);
  expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
    ["datasource", "datasource"],
    ["instance", "query"],
    ["namespace", "query"],
  ]);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Set<string>();
  for (const { title, type, gridPos, targets = [] } of panels) {
    expect(["row", "stat", "timeseries"]).toContain(type);
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect([title, taken.has(`${x},${y}`)]).toEqual([title, false]);
        taken.add(`${x},${y}`);
      }
    }
    expect(targets.length > 0).toBe(type !== "row");
    for (const { datasource } of targets) expect(datasource).toEqual({ type: "prometheus", uid: "${datasource}" });
  }
});
