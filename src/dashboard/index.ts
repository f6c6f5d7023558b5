/**
 * The dashboard's files over HTTP. What they show they ask of the broker's own interface under /api/v1, from the browser.
 *
 *     GET /              the page
 *     GET /assets/...    its script, style and icon; their names change with what is in them
 */
import type { PackedFile } from "./bundle.ts";

/** @returns undefined where the path is none of the dashboard's. */
export type DashboardHandler = (request: Request, path: string) => Promise<Response> | undefined;

interface ServedFile {
  readonly type: string;
  readonly etag: string;
  readonly bodies: Readonly<Record<Encoding, Uint8Array<ArrayBuffer>>>;
}

type Encoding = "br" | "gzip" | "identity";

/** Only what this broker serves may run, be shown or be spoken to; no page may frame the dashboard. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const COMMON_HEADERS = {
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  vary: "accept-encoding",
} as const;

const PAGE_PATH = "/";
const ASSETS_PREFIX = "/assets/";
const YEAR_SECONDS = 31_536_000;

/**
 * The files are made or unpacked at the first request: a broker whose dashboard nobody opens does nothing for it.
 *
 * @param pack the files; the default bundles them from the sources beside this module, or takes the binary's.
 */
export function dashboardHandler(pack: () => Promise<readonly PackedFile[]> = filesOfThisBuild): DashboardHandler {
  let files: Promise<ReadonlyMap<string, ServedFile>> | undefined;
  return (request, path) => {
    if (path !== PAGE_PATH && !path.startsWith(ASSETS_PREFIX)) return undefined;
    // What failed is tried again by the next request.
    files ??= pack().then(unpacked, (error: unknown) => {
      files = undefined;
      throw error;
    });
    return files.then((all) => answer(request, path, all.get(path)));
  };
}

async function filesOfThisBuild(): Promise<readonly PackedFile[]> {
  // `bun build --compile` puts the file that build.mjs has written into the binary, because this path is literal.
  if (import.meta.url.includes("/$bunfs/")) return require("../../dist/dashboard.json") as readonly PackedFile[];
  const { packFiles } = await import("./bundle.ts");
  return packFiles();
}

function unpacked(packed: readonly PackedFile[]): ReadonlyMap<string, ServedFile> {
  return new Map(
    packed.map(({ path, type, etag, br, gzip, identity }) => {
      const bodies = { br: bytesOf(br), gzip: bytesOf(gzip), identity: bytesOf(identity) };
      return [path, { type, etag, bodies }];
    }),
  );
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(base64, "base64"));
}

function answer(request: Request, path: string, file: ServedFile | undefined): Response {
  if (request.method !== "GET" && request.method !== "HEAD") return plain(405, "only GET is allowed here");
  if (file === undefined) return plain(404, "there is no such file");
  const encoding = encodingFor(request.headers.get("accept-encoding") ?? "");
  const etag = encoding === "identity" ? file.etag : file.etag.replace(/"$/, `-${encoding}"`);
  const headers = {
    ...COMMON_HEADERS,
    etag,
    // The names of assets tell their content, the page and the icon keep theirs.
    "cache-control": /-\w+\.\w+$/.test(path) ? `public, max-age=${YEAR_SECONDS}, immutable` : "no-cache",
  };
  if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  const encoded = encoding === "identity" ? {} : { "content-encoding": encoding };
  return new Response(file.bodies[encoding], { headers: { ...headers, ...encoded, "content-type": file.type } });
}

function encodingFor(accepted: string): Encoding {
  const items = accepted.split(",").map((item) => item.trim().toLowerCase());
  // A weight of 0 refuses.
  const names = items.filter((item) => !/;\s*q=0(\.0*)?$/.test(item)).map((item) => item.split(";")[0]);
  if (names.includes("br")) return "br";
  return names.includes("gzip") ? "gzip" : "identity";
}

function plain(status: number, message: string): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}
