import { beforeAll, describe, expect, test } from "bun:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { packFiles, type PackedFile } from "../../src/dashboard/bundle.ts";
import { dashboardHandler } from "../../src/dashboard/index.ts";

/** The dashboard's files as HTTP gives them; what they do in a browser is in test/browser. */

let files: readonly PackedFile[];

beforeAll(async () => {
  files = await packFiles();
});

async function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
  const handler = dashboardHandler(() => Promise.resolve(files));
  const answer = handler(new Request(`http://127.0.0.1${path}`, { method, headers }), path);
  if (answer === undefined) throw new Error(`${path} is not the dashboard's`);
  return answer;
}

function bytesOf({ identity }: PackedFile): Buffer {
  return Buffer.from(identity, "base64");
}

describe("the files", () => {
  test("are a page, its icon, one script and one style sheet", () => {
    const types = files.map(({ type }) => type.split(";")[0]).sort();
    expect(types).toEqual(["image/svg+xml", "text/css", "text/html", "text/javascript"]);
  });

  test("are at most 150 KB compressed", () => {
    const sizes = files.map(({ br }) => Buffer.from(br, "base64").length);
    expect(sizes.reduce((all, size) => all + size, 0)).toBeLessThan(150_000);
  });

  test("name no other host", () => {
    const hosts = files.flatMap(
      (file) =>
        bytesOf(file)
          .toString()
          .match(/https?:\/\/[\w.-]+/g) ?? [],
    );
    // Names of XML's kinds of elements look like addresses, and nothing asks for them.
    expect(hosts.filter((host) => host !== "http://www.w3.org")).toEqual([]);
  });

  test("are the same when they are built again, so that all threads serve the same names", async () => {
    expect((await packFiles()).map(({ path, etag }) => [path, etag])).toEqual(
      files.map(({ path, etag }) => [path, etag]),
    );
  });
});

describe("an answer", () => {
  test("allows nothing but files of the broker itself", async () => {
    const { headers } = await get("/");
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  });

  test("is compressed as the browser asks", async () => {
    for (const file of files) {
      const plain = bytesOf(file);
      const [identity, gzip, br] = await Promise.all([
        get(file.path),
        get(file.path, { "accept-encoding": "gzip, deflate" }),
        get(file.path, { "accept-encoding": "gzip, deflate, br" }),
      ]);
      expect(identity.headers.get("content-encoding")).toBeNull();
      expect(gzip.headers.get("content-encoding")).toBe("gzip");
      expect(br.headers.get("content-encoding")).toBe("br");
      expect(Buffer.from(await identity.arrayBuffer()).equals(plain)).toBe(true);
      expect(gunzipSync(await gzip.arrayBuffer()).equals(plain)).toBe(true);
      expect(brotliDecompressSync(await br.arrayBuffer()).equals(plain)).toBe(true);
    }
  });

  test("is not compressed in a way that the browser refuses", async () => {
    const answer = await get("/", { "accept-encoding": "br;q=0, gzip;q=0.5" });
    expect(answer.headers.get("content-encoding")).toBe("gzip");
  });

  test("is empty when the browser has the file, in that encoding", async () => {
    const etag = (await get("/", { "accept-encoding": "br" })).headers.get("etag") ?? "";
    const again = await get("/", { "accept-encoding": "br", "if-none-match": etag });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe("");
    expect((await get("/", { "if-none-match": etag })).status).toBe(200);
  });

  test("may be kept for ever where the name tells the content, and is asked for again where not", async () => {
    const script = files.find(({ path }) => path.endsWith(".js"))?.path ?? "";
    expect((await get(script)).headers.get("cache-control")).toContain("immutable");
    expect((await get("/")).headers.get("cache-control")).toBe("no-cache");
    expect((await get("/assets/icon.svg")).headers.get("cache-control")).toBe("no-cache");
  });

  test("refuses what is not there, and what is no reading", async () => {
    expect((await get("/assets/../../package.json")).status).toBe(404);
    expect((await get("/", {}, "POST")).status).toBe(405);
    expect(dashboardHandler()(new Request("http://127.0.0.1/api/v1/topics"), "/api/v1/topics")).toBeUndefined();
  });

  test("comes again after a bundle that failed", async () => {
    const packs = [() => Promise.reject(new Error("no")), () => Promise.resolve(files)];
    const handler = dashboardHandler(() => packs.shift()?.() ?? Promise.resolve(files));
    const request = new Request("http://127.0.0.1/");
    expect(await handler(request, "/")?.catch((error: Error) => error.message)).toBe("no");
    expect((await handler(request, "/"))?.status).toBe(200);
  });
});
