/** Who is refused how, on each listener: exactly the table of README.md. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { type Auth, connect, type TlsOptions } from "../../src/client/index.ts";
import { isMillraceError } from "../../src/errors/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { Certificates } from "./certificates.ts";
import { startBroker } from "./harness.ts";
import { Identity } from "./identity.ts";

/** What somebody brings along. */
interface Visitor {
  readonly auth?: Auth;
  /** The same for HTTP. */
  readonly authorization?: string;
  readonly tls?: TlsOptions;
  readonly origin?: string;
  /** Needs a broker that asks everybody for a certificate. */
  readonly isByCertificate?: boolean;
}

const PASSWORD = "correct horse battery";
let certificates: Certificates;
let identity: Identity;
/** Asks for certificates where they are welcome, and where everybody needs one. */
let broker: Broker;
let strict: Broker;
let ca: string;

beforeAll(async () => {
  certificates = await Certificates.create();
  await certificates.authority("stranger");
  await Promise.all([certificates.leaf("client"), certificates.leaf("impostor", { by: "stranger" })]);
  await writeFile(certificates.path("password"), `${PASSWORD}\n`);
  identity = await Identity.create(certificates.path("jwks.json"));
  ca = await certificates.text("ca.pem");
  const options = {
    ...certificates.settings(),
    ...Identity.settings(certificates.path("jwks.json")),
    tlsClientCaFile: certificates.path("ca.pem"),
    authentication: "required",
    adminPasswordFile: certificates.path("password"),
  } as const;
  broker = await startBroker({ ...options, tlsClientAuth: "optional" });
  strict = await startBroker({ ...options, tlsClientAuth: "required" });
});

afterAll(async () => {
  await Promise.all([broker?.stop(), strict?.stop()]);
  certificates?.[Symbol.dispose]();
});

/** What the client says, over TCP or WebSocket; "in" for one that is let in. */
async function byClient(url: string, { auth, tls }: Visitor): Promise<string> {
  const options = { tls: { ca, ...tls }, ...(auth === undefined ? {} : { auth }), reconnect: { enabled: false } };
  try {
    const client = await connect(url, options);
    await client.close();
    return "in";
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    // What TLS itself refuses has no words of the protocol.
    return error.codeName === "connection_lost" ? "no connection" : error.codeName;
  }
}

/** The status of an answer, with the name of its error where it has one. */
async function byHttp(url: string, visitor: Visitor, init: RequestInit = {}): Promise<string> {
  const { authorization, origin, tls } = visitor;
  const headers = new Headers(init.headers);
  if (authorization !== undefined) headers.set("authorization", authorization);
  if (origin !== undefined) headers.set("origin", origin);
  try {
    const response = await fetch(url, { ...init, headers, tls: { ca, ...tls }, keepalive: false } as RequestInit);
    const { error } = (await response.json().catch(() => ({}))) as { error?: { name: string } };
    if (response.ok) return "in";
    return error === undefined || error.name === "http" ? String(response.status) : `${response.status} ${error.name}`;
  } catch (error) {
    if ((error as { code?: string }).code === undefined) throw error;
    return "no connection";
  }
}

async function byWebSocket(at: Broker, visitor: Visitor): Promise<string> {
  if (visitor.origin === undefined) return byClient(`wss://localhost:${at.httpPort}/ws`, visitor);
  const upgrade = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13" };
  const headers = { ...upgrade, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
  return byHttp(`https://localhost:${at.httpPort}/ws`, visitor, { headers });
}

/** As the dashboard's page does: a log-in where there is a password, else a request that says it is a page's. */
function byPage(at: Broker, visitor: Visitor): Promise<string> {
  const base = `https://localhost:${at.httpPort}/api/v1`;
  const page = {
    "sec-fetch-mode": "cors",
    "sec-fetch-site": visitor.origin === undefined ? "same-origin" : "cross-site",
  };
  if (visitor.auth === undefined || !("user" in visitor.auth))
    return byHttp(`${base}/topics`, visitor, { headers: page });
  const { user, password } = visitor.auth;
  const init = { method: "POST", headers: { ...page, "content-type": "application/json" } };
  const { authorization: _, ...rest } = visitor;
  return byHttp(`${base}/login`, rest, { ...init, body: JSON.stringify({ user, password }) });
}

function basic(user: string, password: string): Visitor {
  return { auth: { user, password }, authorization: `Basic ${btoa(`${user}:${password}`)}` };
}

async function bearer(...of: Parameters<Identity["token"]>): Promise<Visitor> {
  const token = await identity.token(...of);
  return { auth: { token }, authorization: `Bearer ${token}` };
}

async function certificate(name: string): Promise<Visitor> {
  const tls = { cert: await certificates.text(`${name}.pem`), key: await certificates.text(`${name}.key`) };
  return { ...basic("admin", PASSWORD), tls, isByCertificate: true };
}

/** @param visitor made for each listener, so that a password that was wrong at one does not slow down the next. */
async function row(visitor: () => Visitor): Promise<string[]> {
  const at = visitor().isByCertificate === true ? strict : broker;
  const isForeign = visitor().origin !== undefined;
  return [
    isForeign ? "—" : await byClient(`millraces://localhost:${at.port}`, visitor()),
    await byWebSocket(at, visitor()),
    await byHttp(`https://localhost:${at.httpPort}/api/v1/topics`, visitor()),
    await byHttp(`https://localhost:${at.httpPort}/metrics`, visitor()),
    await byHttp(`https://localhost:${at.registryPort}/subjects`, visitor()),
    await byPage(at, visitor()),
  ];
}

test("each listener refuses each visitor as the table in the README says", async () => {
  const readme = await Bun.file(new URL("../../README.md", import.meta.url)).text();
  let wrong = 0;
  const visitors: readonly (readonly [string, Visitor | (() => Visitor)])[] = [
    ["no credentials", {}],
    ["a wrong user or password", () => basic(wrong++ === 0 ? "admin" : `stranger ${wrong}`, "wrong horse")],
    ["a token that has expired", await bearer("ann", ["administrator"], -60)],
    ["a certificate that a stranger signed", await certificate("impostor")],
    ["no certificate where one is required", { ...basic("admin", PASSWORD), isByCertificate: true }],
    ["a right user without permission", await bearer("eve")],
    ["a page of another origin", { ...basic("admin", PASSWORD), origin: "https://evil.example" }],
    ["the right password", basic("admin", PASSWORD)],
    ["a right token", await bearer("ann", ["administrator"])],
    ["the right certificate and password", await certificate("client")],
  ];
  for (const [what, visitor] of visitors) {
    const line = readme.split("\n").find((each) => each.startsWith(`| ${what} `)) ?? `| no row for ${what} |`;
    const cells = line.split("|").map((cell) => cell.trim());
    expect(cells.slice(1, -1)).toEqual([what, ...(await row(typeof visitor === "function" ? visitor : () => visitor))]);
  }
}, 60_000);
