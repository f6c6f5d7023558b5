/** Logging in on the wire: each mechanism, sessions that end with their token, cookies on every thread, and what breaks the rules. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, readdir, readlink, writeFile } from "node:fs/promises";
import fc from "fast-check";
import { type Auth, type Client, type ClientOptions, connect, type TlsOptions } from "../../src/client/index.ts";
import { ERRORS } from "../../src/errors/index.ts";
import { Op } from "../../src/protocol/index.ts";
import { type Broker, Broker as Brokers } from "../../src/server/index.ts";
import { ScramClient } from "../../src/stdx/index.ts";
import { commands } from "../cli/run-cli.ts";
import { Certificates } from "./certificates.ts";
import { failureOf, RawConnection, startBroker, until } from "./harness.ts";
import { Identity } from "./identity.ts";

const SEED = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 1_000_000);
/** Long enough to log in on a machine that is busy. */
const SHORT_S = 4;
const PASSWORD = "correct horse battery";
const ADMIN: Auth = { user: "admin", password: PASSWORD };
let certificates: Certificates;
let identity: Identity;
let ca: string;
/** With TLS, and without. */
let secure: Broker;
let plain: Broker;

beforeAll(async () => {
  certificates = await Certificates.create();
  await Promise.all([
    certificates.leaf("client", { commonName: "ann" }),
    certificates.leaf("service", { commonName: "", altNames: "DNS:host,URI:spiffe://example.com/billing" }),
  ]);
  ca = await certificates.text("ca.pem");
  await writeFile(certificates.path("password"), `${PASSWORD}\n`);
  await chmod(certificates.path("password"), 0o600);
  identity = await Identity.create(certificates.path("jwks.json"));
  const options = {
    ...Identity.settings(certificates.path("jwks.json")),
    authentication: "required",
    adminPasswordFile: certificates.path("password"),
  } as const;
  const tls = {
    ...certificates.settings(),
    tlsClientAuth: "optional",
    tlsClientCaFile: certificates.path("ca.pem"),
  } as const;
  secure = await startBroker({ ...options, ...tls });
  plain = await startBroker(options);
});

afterAll(async () => {
  await Promise.all([secure?.stop(), plain?.stop()]);
  certificates?.[Symbol.dispose]();
});

function dialSecure(options: ClientOptions): Promise<Client> {
  return connect(`millraces://localhost:${secure.port}`, { ...options, tls: { ca, ...options.tls } });
}

function dialPlain(auth: Auth, options: ClientOptions = {}): Promise<Client> {
  return connect(`millrace://127.0.0.1:${plain.port}`, { auth, ...options });
}

describe("a password", () => {
  test.each(["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] as const)(
    "by %s lets in over TCP and WebSocket",
    async (mechanism) => {
      const auth: Auth = { user: "admin", password: () => Promise.resolve(PASSWORD), mechanism };
      const web = `wss://localhost:${secure.httpPort}/ws`;
      const clients = [await dialSecure({ auth }), await dialPlain(auth), await connect(web, { auth, tls: { ca } })];
      for (const client of clients) {
        expect(client.server?.principal).toBe("admin");
        await client.topics.list();
        await client.close();
      }
    },
  );

  test("that was guessed wrong some times has to wait, and the error says for how long", async () => {
    const guess = (): Promise<Client> =>
      dialPlain({ user: "guessed", password: "wrong" }, { reconnect: { enabled: false } });
    const limited = await until("the guesses are held back", async () => {
      const error = await failureOf(guess());
      return error.codeName === "limit_exceeded" && error;
    });
    expect(limited.details?.["retryAfterMs"]).toBeGreaterThan(0);
    expect(limited.retryable).toBe(true);
    // Who comes from the same address with another name is not held back.
    await (await dialPlain(ADMIN)).close();
  });

  test("is of no use where authentication is off, and SCRAM says that nothing was proved", async () => {
    await using open = await startBroker({ threads: 1 });
    const url = `millrace://127.0.0.1:${open.port}`;
    expect((await failureOf(connect(url, { auth: ADMIN }))).message).toMatch(/did not prove/);
    const client = await connect(url, { auth: { ...ADMIN, mechanism: "PLAIN" } });
    expect(client.server?.principal).toBe("anonymous");
    await client.close();
  });
});

describe("a token", () => {
  test("lets in with its roles", async () => {
    const client = await dialSecure({ auth: { token: await identity.token("ann", ["administrator"]) } });
    expect(client.server?.principal).toBe("ann");
    await client.topics.list();
    await client.close();
  });

  test("ends its session when it expires; the client comes back with the next, or ends where there is none", async () => {
    let asked = 0;
    const token = (): Promise<string> => identity.token("ann", ["administrator"], ++asked === 1 ? SHORT_S : 300);
    await using renewing = await dialSecure({ auth: { token } });
    const reasons: string[] = [];
    renewing.onStateChange = (state, error) => {
      if (state === "reconnecting") reasons.push(`${error?.codeName} ${error?.message}`);
    };
    const ending = await dialSecure({ auth: { token: await identity.token("ann", ["administrator"], SHORT_S) } });
    // Each thread numbers its connections by itself, so another session may have the first one's number.
    await until("another session", () => reasons.length > 0 && renewing.state === "connected", 30_000);
    expect(reasons).toEqual([expect.stringMatching(/^unauthenticated .*has expired/)]);
    expect(asked).toBe(2);
    await renewing.topics.list();
    await until("the client has ended", () => ending.state === "closed", 30_000);
    expect((await failureOf(ending.topics.list())).codeName).toBe("unauthenticated");
  }, 60_000);
});

describe("a certificate", () => {
  const own = async (name: string): Promise<TlsOptions> => ({
    cert: await certificates.text(`${name}.pem`),
    key: await certificates.text(`${name}.key`),
  });

  test("is who its common name says, else its first URI; what that may do is for the permissions", async () => {
    const refusal = async (name: string): Promise<string> => {
      const error = await failureOf(dialSecure({ tls: await own(name) }));
      return `${error.codeName} ${error.message}`;
    };
    expect(await refusal("client")).toMatch(/^unauthorized "ann" lacks/);
    expect(await refusal("service")).toMatch(/^unauthorized "spiffe:\/\/example.com\/billing" lacks/);
  });

  test("comes into the roles of the user of its name, who may have no password, and goes with that user", async () => {
    const admin = await dialSecure({ auth: ADMIN });
    await admin.users.put({ name: "ann", roles: ["administrator"] });
    const tls = await own("client");
    const ann = await dialSecure({ tls, reconnect: { enabled: false } });
    expect(ann.server?.principal).toBe("ann");
    await ann.topics.list();
    expect((await failureOf(dialSecure({ auth: { user: "ann", password: "" } }))).codeName).toBe("unauthenticated");
    await admin.users.put({ name: "ann", isEnabled: false });
    await until("its session has ended", () => ann.state === "closed");
    expect((await failureOf(dialSecure({ tls, reconnect: { enabled: false } }))).message).toMatch(/ann is disabled/);
    await admin.users.delete("ann");
    await admin.close();
  });

  test("leaves room for another log-in, and without one there is nobody", async () => {
    const client = await dialSecure({ tls: await own("client"), auth: ADMIN });
    expect(client.server?.principal).toBe("admin");
    await client.close();
    expect((await failureOf(dialSecure({ auth: { mechanism: "EXTERNAL" } }))).message).toMatch(/no client certificate/);
  });
});

describe("a session by cookie", () => {
  const base = (): string => `https://localhost:${secure.httpPort}/api/v1`;
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${base()}${path}`, { ...init, tls: { ca }, keepalive: false } as RequestInit);
  const json = { "content-type": "application/json" };

  test("works on every thread, changes need its CSRF value, and a log-out ends it on every thread", async () => {
    const body = JSON.stringify({ user: "admin", password: PASSWORD });
    const login = await ask("/login", { method: "POST", headers: json, body });
    const { csrf, user } = (await login.json()) as { csrf: string; user: string };
    expect(user).toBe("admin");
    const setCookie = login.headers.get("set-cookie") ?? "";
    expect(setCookie).toMatch(/; HttpOnly; SameSite=Strict; Max-Age=\d+; Secure$/);
    const cookie = setCookie.split(";")[0] ?? "";
    const statuses = (): Promise<number[]> =>
      Promise.all(Array.from({ length: 12 }, async () => (await ask("/topics", { headers: { cookie } })).status));
    expect(new Set(await statuses())).toEqual(new Set([200]));
    const put = (headers: Record<string, string>): Promise<Response> =>
      ask("/topics/default/by-cookie", { method: "PUT", headers: { ...json, cookie, ...headers }, body: "{}" });
    expect((await put({})).status).toBe(403);
    expect((await put({ "x-millrace-csrf": "x".repeat(csrf.length) })).status).toBe(403);
    expect((await put({ "x-millrace-csrf": csrf })).ok).toBe(true);
    const whoami = (await (await ask("/whoami", { headers: { cookie } })).json()) as Record<string, unknown>;
    expect(whoami).toMatchObject({ user: "admin", csrf, authentication: "required" });
    expect((await ask("/logout", { method: "POST", headers: { cookie } })).status).toBe(403);
    const out = await ask("/logout", { method: "POST", headers: { cookie, "x-millrace-csrf": csrf } });
    expect([out.status, out.headers.get("set-cookie")]).toEqual([
      204,
      expect.stringMatching(/millrace_session=; .*Max-Age=0/),
    ]);
    await until("no thread takes the cookie", async () => (await statuses()).every((status) => status === 401));
  });

  test.each([
    ["a form", { "content-type": "application/x-www-form-urlencoded" }, "user=admin&password=x", 400],
    ["no JSON", json, "{", 400],
    ["a list", json, "[]", 400],
    ["names that are none", json, JSON.stringify({ user: ["admin"], password: { $ne: null } }), 401],
    ["more than any log-in", json, JSON.stringify({ user: "a".repeat(20_000) }), 400],
  ])("%s is refused as a log-in", async (_, headers, body, status) => {
    const response = await ask("/login", { method: "POST", headers, body });
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain("aaaa");
  });

  test("other methods are refused", async () => {
    expect((await ask("/login")).status).toBe(405);
    expect((await ask("/whoami", { method: "POST" })).status).toBe(405);
  });
});

describe("on the wire", () => {
  const hello = { version: [1, 1], client: "raw" };

  test("nothing but a log-in is taken before the log-in is done", async () => {
    using early = await RawConnection.open(plain.port);
    const scram = new ScramClient("SCRAM-SHA-256", "admin", PASSWORD);
    early.sendFrame(Op.HELLO, 1, { ...hello, auth: { mechanism: "SCRAM-SHA-256", data: scram.first() } });
    await early.frame("the challenge", ({ op }) => op === Op.AUTH_CHALLENGE);
    early.sendFrame(Op.TOPIC_LIST, 2, {});
    expect(await early.goodbye()).toBe(ERRORS.handshake_required.code);
  });

  test.each([
    [
      "an answer to no challenge",
      (raw: RawConnection) => raw.sendFrame(Op.AUTH_RESPONSE, 1, new Uint8Array(3)),
      "protocol_error",
    ],
    [
      "a mechanism that is not known",
      (raw: RawConnection) => raw.sendFrame(Op.HELLO, 1, { ...hello, auth: { mechanism: "GSSAPI" } }),
      "unauthenticated",
    ],
    [
      "the secret of another broker's process",
      (raw: RawConnection) =>
        raw.sendFrame(Op.HELLO, 1, { ...hello, auth: { mechanism: "INTERNAL", secret: "0".repeat(64) } }),
      "unauthenticated",
    ],
    ["no map", (raw: RawConnection) => raw.sendFrame(Op.HELLO, 1, { ...hello, auth: "admin" }), "invalid_argument"],
    [
      "SCRAM without its message",
      (raw: RawConnection) => raw.sendFrame(Op.HELLO, 1, { ...hello, auth: { mechanism: "SCRAM-SHA-256" } }),
      "invalid_argument",
    ],
  ] as const)("%s is refused and ends the connection", async (_, send, error) => {
    using raw = await RawConnection.open(plain.port);
    send(raw);
    expect(await raw.goodbye()).toBe(ERRORS[error].code);
  });

  test("an answer counts once, and a second HELLO never", async () => {
    using raw = await RawConnection.open(plain.port);
    const scram = new ScramClient("SCRAM-SHA-256", "admin", PASSWORD);
    raw.sendFrame(Op.HELLO, 1, { ...hello, auth: { mechanism: "SCRAM-SHA-256", data: scram.first() } });
    const { args } = await raw.frame("the challenge", ({ op }) => op === Op.AUTH_CHALLENGE);
    const answer = await scram.answer(args[1] as Uint8Array);
    raw.sendFrame(Op.AUTH_RESPONSE, 1, answer);
    const ok = await raw.frame("the welcome", ({ op }) => op === Op.OK);
    const { auth, principal } = ok.args[1] as { auth: Uint8Array; principal: string };
    scram.verify(auth);
    expect(principal).toBe("admin");
    raw.sendFrame(Op.AUTH_RESPONSE, 1, answer);
    raw.sendFrame(Op.HELLO, 2, { ...hello, auth: null });
    await until("both are refused", () => raw.frames.filter(({ op }) => op === Op.ERROR).length === 2);
    expect(raw.isClosed).toBe(false);
  });

  test(`whatever HELLO brings as auth, the answer is a refusal and the broker lives (seed ${SEED})`, async () => {
    const value = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.uint8Array({ maxLength: 60 }),
      fc.integer(),
      fc.constant(null),
    );
    const mechanism = fc.constantFrom("PLAIN", "TOKEN", "EXTERNAL", "INTERNAL", "SCRAM-SHA-256", "SCRAM-SHA-512", "");
    const fields = fc.record({ mechanism, user: value, password: value, token: value, secret: value, data: value });
    const auth = fc.oneof(fields, value, fc.array(value, { maxLength: 3 }));
    const property = fc.asyncProperty(auth, value, async (sent, answer) => {
      using raw = await RawConnection.open(plain.port);
      raw.sendFrame(Op.HELLO, 1, { ...hello, auth: sent });
      raw.sendFrame(Op.AUTH_RESPONSE, 1, answer);
      await until("the broker has refused", () => raw.isClosed, 30_000);
      expect(raw.frames.some(({ op }) => op === Op.OK)).toBe(false);
    });
    await fc.assert(property, { seed: SEED, numRuns: 35 });
    await (await dialPlain(ADMIN)).close();
  }, 120_000);
});

test("a transform's process, which the broker has started itself, logs in by its secret, beside TLS", async () => {
  const client = await dialSecure({ auth: ADMIN });
  await client.topics.create("raw");
  await client.topics.create("mapped");
  const steps = [{ map: { set: { seen: true } } }];
  await client.transforms.put("secured", { from: { topic: "raw" }, to: { topic: "mapped" }, steps });
  await client.producer("raw").send({ value: JSON.stringify({ a: 1 }) });
  for await (const message of client.consume("mapped", { from: "earliest", maxRecords: 1 })) {
    expect(message.json()).toEqual({ a: 1, seen: true });
  }
  await client.transforms.delete("secured");
  await client.close();
}, 60_000);

/** Ports of 127.0.0.1 that this process listens on, as the kernel knows them (proc(5)). */
async function listening(): Promise<Set<number>> {
  const links = await Promise.all(
    (await readdir("/proc/self/fd")).map((name) => readlink(`/proc/self/fd/${name}`).catch(() => "")),
  );
  const table = (await Bun.file("/proc/self/net/tcp").text()).split("\n").slice(1);
  const ports = table.flatMap((line) => {
    const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    const [address, port = "0"] = local.split(":");
    const isOurs = state === "0A" && address === "0100007F" && links.includes(`socket:[${inode}]`);
    return isOurs ? [Number.parseInt(port, 16)] : [];
  });
  return new Set(ports);
}

test.each(["off", "required"] as const)(
  "beside TLS, the port for the broker's own processes takes nobody else (authentication %s)",
  async (authentication) => {
    const before = await listening();
    const adminPasswordFile = certificates.path("password");
    await using broker = await startBroker({
      ...certificates.settings(),
      authentication,
      adminPasswordFile,
      threads: 1,
    });
    const known = new Set([...before, broker.port, broker.httpPort, broker.registryPort]);
    const ports = [...(await listening())].filter((port) => !known.has(port));
    expect(ports).toHaveLength(1);
    const connectTo = (auth?: Auth): Promise<Client> =>
      connect(`millrace://127.0.0.1:${ports[0]}`, {
        reconnect: { enabled: false },
        ...(auth === undefined ? {} : { auth }),
      });
    for (const auth of [undefined, ADMIN, { mechanism: "INTERNAL", secret: "0".repeat(64) } as const]) {
      expect((await failureOf(connectTo(auth))).codeName).toBe("unauthenticated");
    }
  },
);

describe("the start", () => {
  const options = { storage: "memory", port: 0, httpPort: 0, authentication: "required" } as const;

  test.each([
    ["nobody could log in", {}, /nobody could log in/],
    [
      "the password's file is not there",
      { adminPasswordFile: "/nowhere/password" },
      /\/nowhere\/password cannot be read/,
    ],
  ])("is refused when %s", async (_, more, reason) => {
    const error = await failureOf(Brokers.start({ ...options, ...more }));
    expect([error.codeName, error.message]).toEqual(["invalid_config", expect.stringMatching(reason)]);
  });

  test("is refused when the password is none, without telling it", async () => {
    const adminPasswordFile = certificates.path("bad-password");
    for (const content of ["", "short", "two lines\nof words"]) {
      await writeFile(adminPasswordFile, content);
      const error = await failureOf(Brokers.start({ ...options, adminPasswordFile }));
      expect(error.message).toMatch(/at least 8 characters/);
      if (content !== "") expect(error.message).not.toContain(content);
    }
  });

  test("for other machines is refused while everybody could come in, and says what to do", async () => {
    const error = await failureOf(Brokers.start({ ...options, authentication: "off", host: "0.0.0.0" }));
    expect(error.message).toMatch(/set authentication to required .* or insecure to true/);
    await using open = await startBroker({ host: "0.0.0.0", insecure: true, threads: 1 });
    await (await connect(`millrace://127.0.0.1:${open.port}`)).close();
  });
});

describe("the command line", () => {
  const url = (): string => `millraces://localhost:${secure.port}`;
  const { ok, refused } = commands(() => ({ MILLRACE_URL: url(), MILLRACE_TLS_CA: certificates.path("ca.pem") }));

  test("logs in by a password or a token from a file, and shows neither", async () => {
    const password = ["--login", "admin", "--login-password-file", certificates.path("password")];
    expect(await ok("topic", "create", "from-shell", ...password)).toContain("created from-shell");
    await writeFile(certificates.path("token"), await identity.token("ann", ["administrator"]));
    expect(await ok("topic", "list", "--token-file", certificates.path("token"))).toContain("from-shell");
    expect(await refused(1, "topic", "list")).toContain("unauthenticated: log in first");
    expect(await refused(2, "topic", "list", "--login", "admin")).toContain("--login-password-file");
    expect(await refused(2, "topic", "list", "--login-password-file", "/nowhere")).toContain("needs --login");
    await writeFile(certificates.path("two-lines"), `${PASSWORD}\nmore\n`);
    const said = await refused(
      2,
      "topic",
      "list",
      "--login",
      "admin",
      "--login-password-file",
      certificates.path("two-lines"),
    );
    expect(said).not.toContain(PASSWORD);
  }, 60_000);

  test("does not speak to a broker whose certificate it cannot trust", async () => {
    expect(await refused(3, "topic", "list", "--tls-ca", certificates.path("client.pem"))).toContain("tls_failed");
  }, 30_000);
});

const NODE_SCRIPT = `
import { readFileSync } from "node:fs";
import { connect } from "./client.mjs";
const [url, password, ...names] = process.argv.slice(2);
const [ca, cert, key] = names.map((name) => readFileSync(name, "utf8"));
const tried = async (options) => {
  try {
    const client = await connect(url, { reconnect: { enabled: false }, ...options });
    const { principal } = client.server;
    await client.topics.list();
    await client.close();
    return principal;
  } catch ({ codeName }) {
    return codeName;
  }
};
const auth = { user: "admin", password };
console.log(JSON.stringify([
  await tried({ auth, tls: { ca } }),
  await tried({ auth: { ...auth, password: "wrong" }, tls: { ca } }),
  await tried({ auth, tls: { ca: cert } }),
  await tried({ auth }),
  await tried({ auth, tls: { ca, serverName: "elsewhere.example" } }),
  await tried({ tls: { ca, cert, key } }),
]));
`;

test("Node logs in over TLS as Bun does", async () => {
  const entry = new URL("../../src/client/index.ts", import.meta.url).pathname;
  const built = await Bun.build({
    entrypoints: [entry],
    target: "node",
    outdir: certificates.folder,
    naming: "client.mjs",
  });
  expect(built.success).toBe(true);
  await writeFile(certificates.path("main.mjs"), NODE_SCRIPT);
  const url = `millraces://localhost:${secure.port}`;
  const words = ["node", "main.mjs", url, PASSWORD, "ca.pem", "client.pem", "client.key"];
  const child = Bun.spawn(words, { cwd: certificates.folder, stdout: "pipe", stderr: "inherit" });
  const names = JSON.parse(await child.stdout.text()) as unknown;
  expect(names).toEqual(["admin", "unauthenticated", "tls_failed", "tls_failed", "tls_failed", "unauthorized"]);
}, 60_000);
