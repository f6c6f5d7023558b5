/** TLS on all listeners: what the start refuses, certificates that change while the broker serves, and load over it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFile, rename, writeFile } from "node:fs/promises";
import { connect as connectTls } from "node:tls";
import { type Client, connect } from "../../src/client/index.ts";
import { isMillraceError } from "../../src/errors/index.ts";
import { type Broker, Broker as Brokers } from "../../src/server/index.ts";
import { Certificates } from "./certificates.ts";
import { failureOf, startBroker, until } from "./harness.ts";

let certificates: Certificates;
let ca: string;
let broker: Broker;
/** Whose files are overwritten by a test. */
const LIVE = "live";

async function putLive(name: string): Promise<void> {
  // Renamed into place, as those who renew certificates do.
  for (const end of ["key", "pem"]) {
    await copyFile(certificates.path(`${name}.${end}`), certificates.path(`new.${end}`));
    await rename(certificates.path(`new.${end}`), certificates.path(`${LIVE}.${end}`));
  }
}

beforeAll(async () => {
  certificates = await Certificates.create();
  ca = await certificates.text("ca.pem");
  await Promise.all([
    certificates.leaf("renewed", { commonName: "renewed" }),
    certificates.leaf("expired", { days: -1 }),
    certificates.leaf("elsewhere", { altNames: "DNS:elsewhere.example" }),
    certificates.authority("stranger"),
  ]);
  await putLive("server");
  broker = await startBroker(certificates.settings(LIVE));
});

afterAll(async () => {
  await broker?.stop();
  certificates?.[Symbol.dispose]();
});

/** The common name in the certificate that a port shows. */
function nameAt(port: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", port, ca, servername: "localhost" }, () => {
      resolve(socket.getPeerCertificate().subject.CN);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

function dialTls(port = broker.port): Promise<Client> {
  return connect(`millraces://localhost:${port}`, { tls: { ca } });
}

describe("the start is refused, with setting, file and reason, when", () => {
  test.each([
    ["the certificate has expired", "expired.pem", "expired.key", /tlsCertFile .*expired\.pem cannot .* expired on/],
    ["the key is another's", "server.pem", "renewed.key", /tlsKeyFile .*renewed\.key .*not the key of .*server\.pem/],
    ["there is no file", "none.pem", "server.key", /tlsCertFile .*none\.pem .*ENOENT/],
    ["the certificate is none", "server.key", "server.key", /tlsCertFile .*server\.key .*no certificate/],
    ["the key is none", "server.pem", "server.pem", /tlsKeyFile .*server\.pem .*no private key/],
    ["the certificate is damaged", "damaged.pem", "server.key", /tlsCertFile .*damaged\.pem .*damaged/],
  ])("%s", async (_, cert, key, reason) => {
    await writeFile(certificates.path("damaged.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const files = { tlsCertFile: certificates.path(cert), tlsKeyFile: certificates.path(key) };
    const started = Brokers.start({ storage: "memory", port: 0, httpPort: 0, ...files });
    const error = await failureOf(started);
    expect(error.codeName).toBe("invalid_config");
    expect(error.message).toMatch(reason);
    expect(error.message).not.toContain("BEGIN");
  });
});

test("the start is refused on a port that another broker has, though both could share it", async () => {
  const ports = { port: 0, httpPort: 0, registryPort: 0 };
  for (const key of ["port", "httpPort", "registryPort"] as const) {
    const taken = { ...certificates.settings(), ...ports, [key]: broker[key] };
    const started = startBroker(taken).then(
      (other) => other.stop(),
      (error: { code?: string }) => error.code,
    );
    expect(await started).toBe("EADDRINUSE");
  }
});

describe("a client refuses", () => {
  const codeOf = async (promise: Promise<Client>): Promise<string> => {
    const error = await promise.then(
      (client) => client.close(),
      (reason: unknown) => reason,
    );
    return isMillraceError(error) ? error.codeName : String(error);
  };

  test("a broker whose certificate is not signed by whom it trusts", async () => {
    const tls = { ca: await certificates.text("stranger.pem") };
    expect(await codeOf(connect(`millraces://localhost:${broker.port}`, { tls }))).toBe("tls_failed");
    expect(await codeOf(connect(`millraces://localhost:${broker.port}`))).toBe("tls_failed");
    const careless = await connect(`millraces://localhost:${broker.port}`, { tls: { rejectUnauthorized: false } });
    await careless.close();
  });

  test("a certificate that is for another host, unless it is told the name", async () => {
    await using other = await startBroker({ ...certificates.settings("elsewhere"), threads: 1 });
    const url = `millraces://localhost:${other.port}`;
    expect(await codeOf(connect(url, { tls: { ca } }))).toBe("tls_failed");
    const named = await connect(url, { tls: { ca, serverName: "elsewhere.example" } });
    await named.close();
  });

  test("to speak TLS where none is asked for, and to put credentials into an URL", async () => {
    expect(await codeOf(connect("millrace://localhost:1", { tls: { ca } }))).toBe("invalid_argument");
    expect(await codeOf(connect("millraces://ann:secret@localhost:1"))).toBe("invalid_argument");
  });
});

test("a peer that opens a connection and says nothing is let go", async () => {
  const closed = Promise.withResolvers<void>();
  const socket = { data: () => undefined, close: () => closed.resolve(), end: (peer: { end(): void }) => peer.end() };
  await using hasty = await startBroker({ ...certificates.settings(), handshakeTimeoutMs: 200, threads: 1 });
  await Bun.connect({ hostname: "127.0.0.1", port: hasty.port, socket });
  await closed.promise;
});

test("a peer that speaks without TLS is let go, and nobody else notices", async () => {
  await using client = await dialTls();
  const error = await failureOf(connect(`millrace://127.0.0.1:${broker.port}`, { connectTimeoutMs: 5000 }));
  // What comes back is an alert of TLS, or nothing.
  expect(["malformed_frame", "connection_lost", "timeout"]).toContain(error.codeName);
  await client.topics.list();
});

test("what is published over TLS is read over TLS as it was, by slow readers too, and over wss", async () => {
  await using client = await dialTls();
  await client.topics.create("load", { partitions: 1 });
  const producer = client.producer("load");
  const values = Array.from({ length: 400 }, (_, index) => new Uint8Array(64 * 1024).fill(index % 251));
  await Promise.all(values.map((value) => producer.send({ value })));
  const readAll = async (reader: Client, restMs: number): Promise<void> => {
    let at = 0;
    for await (const message of reader.consume("load", { from: "earliest", until: "end", creditBytes: 1024 * 1024 })) {
      if (Buffer.compare(message.value ?? new Uint8Array(), values[at] ?? new Uint8Array()) !== 0) {
        throw new Error(`message ${at} is not what was published`);
      }
      if (at++ % 40 === 0) await Bun.sleep(restMs);
    }
    expect(at).toBe(values.length);
  };
  await using web = await connect(`wss://localhost:${broker.httpPort}/ws`, { tls: { ca } });
  await Promise.all([readAll(client, 0), readAll(web, 0), readAll(client, 20)]);
}, 60_000);

/** Threads take a certificate over in their own time, and a connection may wait in the queue of the one before. */
async function untilNamed(port: number, expected: string): Promise<void> {
  const isNamed = async (): Promise<boolean> => {
    const names = await Promise.all(Array.from({ length: 8 }, () => nameAt(port).catch(() => "reset")));
    return names.every((name) => name === expected);
  };
  await until(`every new connection sees ${expected}`, isNamed, 30_000);
}

test("a new certificate is shown on all ports without a restart, and open connections stay", async () => {
  await putLive("server");
  broker.reloadCertificates();
  await using before = await dialTls();
  await using web = await connect(`wss://localhost:${broker.httpPort}/ws`, { tls: { ca } });
  const sessions = [before.server?.connection, web.server?.connection];
  const ports = [broker.port, broker.httpPort, broker.registryPort];
  expect(await Promise.all(ports.map(nameAt))).toEqual(["localhost", "localhost", "localhost"]);
  await putLive("renewed");
  // By itself, because the files have changed; other threads follow in their own time.
  for (const port of ports) await untilNamed(port, "renewed");
  for (const client of [before, web]) await client.topics.list();
  expect([before.server?.connection, web.server?.connection]).toEqual(sessions);
  await using after = await dialTls();
  await after.topics.list();
}, 60_000);

test("files that cannot be used are refused at a reload, and the old certificate goes on serving", async () => {
  await putLive("server");
  broker.reloadCertificates();
  await untilNamed(broker.httpPort, "localhost");
  await putLive("expired");
  expect(() => broker.reloadCertificates()).toThrow(/expired on/);
  expect(await nameAt(broker.httpPort)).toBe("localhost");
  await using client = await dialTls();
  await client.topics.list();
  await putLive("server");
}, 60_000);
