/**
 * Who is there, on one worker. All threads of a broker share one secret, from which the keys of cookies, of decoys and of the
 * broker's own processes are derived; it is made at the start and never leaves the process.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Mailroom } from "../broker/index.ts";
import { type Config, isLoopback, originsOf } from "../config/index.ts";
import { MillraceError } from "../errors/index.ts";
import { saltWhereIdle } from "../log/native.ts";
import {
  type AccessState,
  ADMINISTRATOR,
  type Audit,
  Authenticator,
  HttpLogins,
  newCredentials,
  saltPatiently,
  Tokens,
} from "../security/index.ts";
import type { Logger } from "../stdx/index.ts";
import type { Runtime } from "./runtime.ts";

export interface Logins {
  readonly authenticator: Authenticator;
  readonly http: HttpLogins;
  readonly tokens: Tokens;
}

interface LoginOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly state: AccessState;
  readonly audit: Audit;
  readonly mailroom: Mailroom;
  readonly secret: Uint8Array;
}

interface Logout {
  readonly id: string;
  readonly expiresAtMs: number;
}

const LOGOUT_NOTICE = "security.logout";
const ADMIN = "admin";
const SECRET_BYTES = 32;
const PASSWORD_LENGTH_MIN = 8;
const WARN_EVERY_MS = 60_000;

export function newSecret(): Uint8Array {
  return new Uint8Array(randomBytes(SECRET_BYTES));
}

export function openLogins({ config, logger, state, audit, mailroom, secret }: LoginOptions): Logins {
  const tokens = new Tokens(config);
  let warnedMs = -Infinity;
  tokens.onFailure = (error) => {
    if (performance.now() - warnedMs < WARN_EVERY_MS) return;
    warnedMs = performance.now();
    logger.warn("tokens cannot be checked", { error });
  };
  const isRequired = config.authentication === "required";
  const authenticator = new Authenticator({
    isRequired,
    findUser: (name) => state.users.get(name),
    tokens,
    secret,
    monotonicMs: () => performance.now(),
    salter: saltPatiently(saltWhereIdle),
    onRefused: (refusal) => audit.logInRefused(refusal),
  });
  const http = new HttpLogins({
    authenticator,
    secret,
    origins: { isLocalOnly: !isRequired && isLoopback(config.host), allowed: originsOf(config.allowedOrigins) },
    nowMs: () => Date.now(),
    announceLogout: (id, expiresAtMs) => mailroom.notifyOthers(LOGOUT_NOTICE, { id, expiresAtMs } satisfies Logout),
  });
  mailroom.onNotice(LOGOUT_NOTICE, ({ id, expiresAtMs }: Logout) => http.forget(id, expiresAtMs));
  return { authenticator, http, tokens };
}

/**
 * Makes the first administrator, and refuses a start after which nobody could log in. Runs on the first worker, when the
 * metadata is replayed and before anybody is let in.
 *
 * @throws invalid_config.
 */
export async function checkLogins(config: Config, { access, logins }: Runtime): Promise<void> {
  await logins.tokens.check();
  if (config.adminPasswordFile !== "" && access.access.user(ADMIN) === undefined) {
    const password = passwordIn(config.adminPasswordFile);
    const credentials = [
      await newCredentials(password, "SCRAM-SHA-256"),
      await newCredentials(password, "SCRAM-SHA-512"),
    ];
    await access.access.putUser({ name: ADMIN, roles: [ADMINISTRATOR], credentials });
  }
  if (config.authentication === "off") return;
  const hasUsers = [...access.access.state.users.values()].some(({ credentials }) => credentials.length > 0);
  if (hasUsers || logins.tokens.isConfigured || config.tlsClientAuth !== "none") return;
  throw new MillraceError(
    "invalid_config",
    "authentication is required and nobody could log in: name a file with the administrator's password " +
      "(adminPasswordFile), keys of tokens (jwtJwksFile, jwtJwksUrl) or who signs client certificates (tlsClientCaFile)",
  );
}

/** Without the line's end that editors add. @throws invalid_config, which does not tell what is in the file. */
function passwordIn(path: string): string {
  let password: string;
  try {
    password = readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new MillraceError("invalid_config", `adminPasswordFile ${path} cannot be read: ${(error as Error).message}`);
  }
  if (password.length >= PASSWORD_LENGTH_MIN && !/[\r\n]/.test(password)) return password;
  const what = `it must hold one line of at least ${PASSWORD_LENGTH_MIN} characters`;
  throw new MillraceError("invalid_config", `adminPasswordFile ${path} cannot be used: ${what}`);
}
