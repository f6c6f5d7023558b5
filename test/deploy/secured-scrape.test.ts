import { expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";
import { Certificates } from "../integration/certificates.ts";
import { until } from "../until.ts";
import { Prometheus } from "./prometheus.ts";

const PATIENCE_MS = 90_000;

const ADMIN = "correct horse battery";
const SCRAPER = "scrape me please";

test("Prometheus scrapes a broker with TLS as a user with the role monitoring, and gets nothing without a log-in", async () => {
  using certificates = await Certificates.create();
  const password = certificates.path("password");
  const scraper = certificates.path("scraper");
  await Promise.all([writeFile(password, `${ADMIN}\n`), writeFile(scraper, SCRAPER)]);
  await Promise.all([chmod(password, 0o600), chmod(scraper, 0o600)]);
  await using broker = await Broker.start({
    storage: "memory",
    port: 0,
    httpPort: 0,
    authentication: "required",
    adminPasswordFile: password,
    ...certificates.settings(),
  });
  {
    const tls = { ca: await certificates.text("ca.pem") };
    const auth = { user: "admin", password: ADMIN };
    await using client = await connect(`millraces://localhost:${broker.port}`, { tls, auth });
    await client.users.put({ name: "prometheus", password: SCRAPER, roles: ["monitoring"] });
  }
  const target = `localhost:${broker.httpPort}`;
  const secured = { scheme: "https", tls_config: { ca_file: certificates.path("ca.pem") } } as const;
  const basic_auth = { username: "prometheus", password_file: scraper };
  await using known = await Prometheus.start(target, { ...secured, basic_auth });
  await using stranger = await Prometheus.start(target, secured);
  const info = async (prometheus: Prometheus): Promise<number> => (await prometheus.query("millrace_info")).length;
  await until("the one with a password has figures", async () => (await info(known)) === 1, PATIENCE_MS);
  const isDown = async (): Promise<boolean> => (await stranger.query("up == 0")).length === 1;
  await until("the one without has been refused", isDown, PATIENCE_MS);
  expect(await info(stranger)).toBe(0);
}, 200_000);
