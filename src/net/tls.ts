/**
 * TLS for the listeners: reading certificates such that what is wrong with them is said before anything listens, and what
 * Bun's listeners take. Certificates of clients are verified on TCP by what the handshake reports; HTTP leaves that to
 * Bun, which shows no certificate of a peer there.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { MillraceError } from "../errors/index.ts";

/** Settings of src/config. */
export interface TlsFiles {
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
  readonly tlsClientCaFile: string;
  readonly tlsClientAuth: "none" | "optional" | "required";
}

/** Checked contents of the files; plain data, so that it can go to other threads. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
  readonly clientAuth: "none" | "optional" | "required";
  /** When the first certificate of the chain ends, in ms since 1970. */
  readonly validToMs: number;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const FILE_BYTES_MAX = 1024 * 1024;

/**
 * @returns undefined where no certificate is set.
 * @throws invalid_config with the setting, the file and the reason.
 */
export function readTls(files: TlsFiles, nowMs: number): TlsMaterial | undefined {
  if (files.tlsCertFile === "") return undefined;
  const cert = read("tlsCertFile", files.tlsCertFile);
  const chain = certificatesIn("tlsCertFile", files.tlsCertFile, cert, nowMs);
  const key = read("tlsKeyFile", files.tlsKeyFile);
  checkKey(files, key, chain[0] as X509Certificate);
  let clientCa: string | undefined;
  if (files.tlsClientAuth !== "none") {
    clientCa = read("tlsClientCaFile", files.tlsClientCaFile);
    certificatesIn("tlsClientCaFile", files.tlsClientCaFile, clientCa, nowMs);
  }
  const validToMs = Math.min(...chain.map((certificate) => Date.parse(certificate.validTo)));
  return { cert, key, clientCa, clientAuth: files.tlsClientAuth, validToMs };
}

/** What `Bun.listen` takes. Who shows no certificate or a wrong one is let through to the handshake's end, to be told why not. */
export function tcpTls({ cert, key, clientCa }: TlsMaterial) {
  if (clientCa === undefined) return { cert, key };
  return { cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: false };
}

/** What `Bun.serve` takes. It cannot tell a wrong certificate from none, so it asks for one only where it must be right. */
export function httpTls({ cert, key, clientCa, clientAuth }: TlsMaterial) {
  if (clientCa === undefined || clientAuth !== "required") return { cert, key };
  return { cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true };
}

/** What the handshake says of a peer's certificate (node:tls' form). */
export interface PeerCertificate {
  readonly subject?: { readonly CN?: unknown } | undefined;
  readonly subjectaltname?: string | undefined;
}

/**
 * The name of a certificate's holder: the common name, else the first URI or e-mail address of its alternative names.
 * Undefined where it has none, or none that is plain to read.
 */
export function certificateName({ subject, subjectaltname = "" }: PeerCertificate): string | undefined {
  const name = subject?.CN;
  if (typeof name === "string" && name !== "") return name;
  // Quotes are how a name would be written that holds the separator itself.
  if (subjectaltname.includes('"')) return undefined;
  for (const entry of subjectaltname.split(", ")) {
    const [, found] = /^(?:URI|email):(.+)$/.exec(entry) ?? [];
    if (found !== undefined) return found;
  }
  return undefined;
}

function read(setting: string, path: string): string {
  try {
    const content = readFileSync(path, "utf8");
    if (content.length > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`);
    return content;
  } catch (error) {
    throw wrong(setting, path, error instanceof Error ? error.message : String(error));
  }
}

function certificatesIn(setting: string, path: string, content: string, nowMs: number): X509Certificate[] {
  const certificates = (content.match(PEM_CERTIFICATE) ?? []).map((pem) => {
    try {
      return new X509Certificate(pem);
    } catch {
      throw wrong(setting, path, "a certificate in it is damaged");
    }
  });
  if (certificates.length === 0) throw wrong(setting, path, "there is no certificate (PEM) in it");
  for (const { subject, validFrom, validTo } of certificates) {
    const who = subject.replaceAll("\n", ", ");
    if (Date.parse(validTo) <= nowMs) throw wrong(setting, path, `the certificate of ${who} expired on ${validTo}`);
    if (Date.parse(validFrom) > nowMs) throw wrong(setting, path, `the certificate of ${who} begins on ${validFrom}`);
  }
  return certificates;
}

function checkKey({ tlsCertFile, tlsKeyFile }: TlsFiles, content: string, certificate: X509Certificate): void {
  let isOurs: boolean;
  try {
    isOurs = certificate.checkPrivateKey(createPrivateKey(content));
  } catch (error) {
    const isLocked = (error as { code?: string }).code === "ERR_MISSING_PASSPHRASE";
    throw wrong("tlsKeyFile", tlsKeyFile, isLocked ? "it needs a passphrase" : "there is no private key (PEM) in it");
  }
  if (!isOurs) throw wrong("tlsKeyFile", tlsKeyFile, `it is not the key of the certificate in ${tlsCertFile}`);
}

/** Never with what the file holds. */
function wrong(setting: string, path: string, why: string): MillraceError {
  return new MillraceError("invalid_config", `${setting} ${path} cannot be used: ${why}`);
}
