import { readFileSync } from "node:fs";
import type { Auth, ClientOptions, TlsOptions } from "../client/index.ts";
import { usageError } from "./exit.ts";
import { askSecret, canAsk, secretFile } from "./secret.ts";

/** Who a command is to the broker, and whom it trusts: from options, else from the environment. */

export interface CredentialOptions {
  login?: string;
  loginPasswordFile?: string;
  tokenFile?: string;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLES = {
  login: "MILLRACE_LOGIN",
  loginPasswordFile: "MILLRACE_LOGIN_PASSWORD_FILE",
  tokenFile: "MILLRACE_TOKEN_FILE",
  tlsCa: "MILLRACE_TLS_CA",
  tlsCert: "MILLRACE_TLS_CERT",
  tlsKey: "MILLRACE_TLS_KEY",
} as const satisfies Record<keyof CredentialOptions, string>;

/** A secret is asked for at the terminal where no file is named. @param url of the broker. Errors: usage. */
export async function credentialsOf(
  options: CredentialOptions,
  env: Environment,
  url: string,
): Promise<Pick<ClientOptions, "auth" | "tls">> {
  const given = Object.fromEntries(
    Object.entries(VARIABLES).flatMap(([key, variable]) => {
      const value = options[key as keyof CredentialOptions] ?? env[variable];
      return value === undefined || value === "" ? [] : [[key, value]];
    }),
  ) as CredentialOptions;
  const [auth, tls] = [await authOf(given), tlsOf(given)];
  // The environment is there for all addresses; what the command line says has to fit the one that is asked for.
  const isAsked = options.tlsCa !== undefined || options.tlsCert !== undefined;
  const hasTls = tls !== undefined && (isAsked || /^(millraces|wss):/.test(url));
  return { ...(auth === undefined ? {} : { auth }), ...(hasTls ? { tls } : {}) };
}

async function authOf({ login, loginPasswordFile, tokenFile }: CredentialOptions): Promise<Auth | undefined> {
  if (tokenFile !== undefined) {
    if (login !== undefined) throw usageError("--login and --token-file exclude each other", "give one of them");
    // Read at each connection: tokens are renewed.
    return { token: () => secretFile("--token-file", tokenFile) };
  }
  if (login === undefined) {
    if (loginPasswordFile === undefined) return undefined;
    throw usageError("--login-password-file needs --login", "say whose password it is");
  }
  if (loginPasswordFile !== undefined) {
    return { user: login, password: secretFile("--login-password-file", loginPasswordFile) };
  }
  if (!canAsk())
    throw usageError(`there is nobody to ask for ${login}'s password`, "name a file: --login-password-file");
  return { user: login, password: await askSecret(`Password of ${login}: `) };
}

function tlsOf({ tlsCa, tlsCert, tlsKey }: CredentialOptions): TlsOptions | undefined {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw usageError("--tls-cert and --tls-key go together", "give both, or none");
  }
  if (tlsCa === undefined && tlsCert === undefined) return undefined;
  return {
    ...(tlsCa === undefined ? {} : { ca: pem("--tls-ca", tlsCa) }),
    ...(tlsCert === undefined || tlsKey === undefined
      ? {}
      : { cert: pem("--tls-cert", tlsCert), key: pem("--tls-key", tlsKey) }),
  };
}

function pem(option: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw usageError(`${option} ${path} cannot be read: ${(error as Error).message}`, "name a file in PEM");
  }
}
