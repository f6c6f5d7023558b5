/** The dashboard's files as a browser gets them, built from app/. `test/tools/build.mjs` runs this module for the binary. */
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** One file, with the encodings that a browser may ask for. Bodies are base64: the whole set is one JSON value. */
export interface PackedFile {
  /** Path of the request; "/" is the page. */
  readonly path: string;
  readonly type: string;
  readonly etag: string;
  readonly identity: string;
  readonly gzip: string;
  readonly br: string;
}

const APP = join(import.meta.dir, "app");
const PAGE_MARK = "<!-- the bundle -->";

/** Bundles app/ and compresses what comes out. Takes some 100 ms. @throws AggregateError where the sources are wrong. */
export async function packFiles(): Promise<PackedFile[]> {
  const { outputs } = await Bun.build({
    entrypoints: [join(APP, "main.tsx"), join(APP, "style/main.css")],
    root: APP,
    target: "browser",
    minify: true,
    naming: "assets/[name]-[hash].[ext]",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const assets = await Promise.all(
    outputs.map(async (output) => packed(pathOf(output.path), new Uint8Array(await output.arrayBuffer()))),
  );
  const page = (await Bun.file(join(APP, "index.html")).text()).replace(PAGE_MARK, tagsOf(assets));
  const icon = await Bun.file(join(APP, "icon.svg")).bytes();
  return [packed("/", new TextEncoder().encode(page)), packed("/assets/icon.svg", icon), ...assets];
}

function pathOf(output: string): string {
  return `/${output.replace(/^[./]+/, "")}`;
}

function tagsOf(assets: readonly PackedFile[]): string {
  const tags = assets.map(({ path }) =>
    path.endsWith(".css")
      ? `<link rel="stylesheet" href="${path}" />`
      : `<script type="module" src="${path}"></script>`,
  );
  return tags.join("\n    ");
}

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

function packed(path: string, bytes: Uint8Array): PackedFile {
  const ending = /\.\w+$/.exec(path)?.[0] ?? "";
  const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } };
  return {
    path,
    type: TYPES[ending] ?? "text/html; charset=utf-8",
    etag: `"${Bun.hash(bytes).toString(36)}"`,
    identity: base64(bytes),
    gzip: base64(gzipSync(bytes)),
    br: base64(brotliCompressSync(bytes, brotli)),
  };
}

/** Of 11: the first request waits for it, and 9 takes six times as long for one percent. */
const BROTLI_QUALITY = 5;

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

if (import.meta.main) console.log(JSON.stringify(await packFiles()));
