/** Certificates for tests, made by openssl: who signs, a server, clients, and all the wrong ones. */
import { mkdtempSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

export interface LeafOptions {
  /** Name of the certificate that signs; "ca" unless it is said. */
  readonly by?: string;
  readonly commonName?: string;
  /** As openssl writes it: `DNS:localhost,IP:127.0.0.1`. */
  readonly altNames?: string;
  /** Negative for one that has expired. */
  readonly days?: number;
}

export class Certificates implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-test-"));

  /** With "ca" and a server's certificate for localhost. */
  static async create(): Promise<Certificates> {
    const certificates = new Certificates();
    await certificates.authority("ca");
    await certificates.leaf("server", { commonName: "localhost" });
    return certificates;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** A file's content, such as `ca.pem` or `client.key`. */
  text(name: string): Promise<string> {
    return readFile(this.path(name), "utf8");
  }

  async authority(name: string): Promise<void> {
    const files = ["-keyout", this.path(`${name}.key`), "-out", this.path(`${name}.pem`)];
    await openssl(["req", "-x509", ...KEY, ...files, "-days", "10", "-subj", `/CN=${name}`]);
  }

  /** Writes NAME.pem and NAME.key. */
  async leaf(name: string, options: LeafOptions = {}): Promise<void> {
    const { by = "ca", commonName = name, altNames = "DNS:localhost,IP:127.0.0.1", days = 5 } = options;
    const [request, extensions] = [this.path(`${name}.csr`), this.path(`${name}.ext`)];
    // An empty subject stands for a certificate that is named by its alternative names alone.
    const subject = commonName === "" ? "/" : `/CN=${commonName}`;
    await openssl(["req", ...KEY, "-keyout", this.path(`${name}.key`), "-out", request, "-subj", subject]);
    await writeFile(extensions, `subjectAltName=${altNames}\n`);
    // A serial of its own: those in a file would be fought over by certificates that are made at the same time.
    const serial = ["-set_serial", `0x${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`];
    const signer = ["-CA", this.path(`${by}.pem`), "-CAkey", this.path(`${by}.key`), ...serial];
    const sign = ["x509", "-req", "-in", request, ...signer, "-days", String(days), "-extfile", extensions];
    await openssl([...sign, "-out", this.path(`${name}.pem`)]);
  }

  /** Settings of a broker that serves with one of them. */
  settings(name = "server"): { tlsCertFile: string; tlsKeyFile: string } {
    return { tlsCertFile: this.path(`${name}.pem`), tlsKeyFile: this.path(`${name}.key`) };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function openssl(words: readonly string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...words], { stdio: ["ignore", "ignore", "pipe"] });
  const [code, said] = await Promise.all([child.exited, child.stderr.text()]);
  if (code !== 0) throw new Error(`openssl ${words[0]}: ${said}`);
}
