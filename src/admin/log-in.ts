/**
 * Logging in over HTTP, for pages: a password once, then a cookie.
 *
 *     POST /api/v1/login  {user, password}   {user, kind, roles, authentication, csrf, expiresAtMs} and the cookie
 *     POST /api/v1/logout                    ends the session; needs its CSRF value as every change does
 *     GET  /api/v1/whoami                    the same as login's answer; csrf and expiresAtMs only for a session by cookie
 */
import { isMillraceError, MillraceError, toMillraceError } from "../errors/index.ts";
import type { HttpLogins, Peer, Principal, WhoAmI } from "../security/index.ts";
import type { Logger } from "../stdx/index.ts";
import { errorResponse, plainError } from "./answers.ts";
import { API_PATH } from "./api/index.ts";

export interface LogInOptions {
  /** There while the broker is ready. @throws not_ready, shutting_down. */
  readonly logins: () => HttpLogins;
  readonly isRequired: boolean;
  readonly isEncrypted: boolean;
  readonly logger: Logger;
}

/** @param remote address of the peer. @returns undefined for a path that is none of these. */
export type LogInHandler = (request: Request, pathname: string, remote: string) => Promise<Response> | undefined;

type Step = (options: LogInOptions, request: Request, peer: Peer) => Promise<Response> | Response;

const BODY_BYTES_MAX = 8 * 1024;
const HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;

const STEPS: Readonly<Record<string, { readonly method: string; readonly run: Step }>> = {
  [`${API_PATH}/login`]: { method: "POST", run: logIn },
  [`${API_PATH}/logout`]: { method: "POST", run: logOut },
  [`${API_PATH}/whoami`]: { method: "GET", run: whoAmI },
};

export function logInHandler(options: LogInOptions): LogInHandler {
  return (request, pathname, remote) => {
    const step = STEPS[pathname];
    if (step === undefined) return undefined;
    if (request.method !== step.method) {
      const refusal = plainError(405, `only ${step.method} is allowed here`, { allow: step.method });
      return Promise.resolve(refusal);
    }
    return answer(step.run, options, request, remote);
  };
}

async function answer(run: Step, options: LogInOptions, request: Request, remote: string): Promise<Response> {
  try {
    return await run(options, request, { address: remote, isEncrypted: options.isEncrypted });
  } catch (error) {
    // What went wrong may hold what was sent, so only errors of the catalogue say more than that.
    if (!isMillraceError(error)) options.logger.error("a log-in failed", { path: new URL(request.url).pathname });
    return errorResponse(toMillraceError(error));
  }
}

async function logIn({ logins, isRequired }: LogInOptions, request: Request, peer: Peer): Promise<Response> {
  const http = logins();
  http.needOrigin(request);
  const { user, password } = await bodyOf(request);
  const { cookie, ...session } = await http.login(request, peer, user, password);
  return Response.json(view(session, isRequired), { headers: { ...HEADERS, "set-cookie": cookie } });
}

function logOut({ logins }: LogInOptions, request: Request, peer: Peer): Response {
  const cookie = logins().logout(request, peer);
  return new Response(null, { status: 204, headers: { ...HEADERS, "set-cookie": cookie } });
}

async function whoAmI({ logins, isRequired }: LogInOptions, request: Request, peer: Peer): Promise<Response> {
  return Response.json(view(await logins().whoami(request, peer), isRequired), { headers: HEADERS });
}

function view({ principal, csrf, expiresAtMs }: WhoAmI, isRequired: boolean) {
  const { name, kind, roles }: Principal = principal;
  return { user: name, kind, roles, authentication: isRequired ? "required" : "off", csrf, expiresAtMs };
}

async function bodyOf(request: Request): Promise<Record<string, unknown>> {
  // A page of another origin can send a form without asking, and no JSON.
  if (!/^application\/json *(;|$)/i.test(request.headers.get("content-type") ?? "")) {
    throw new MillraceError("invalid_argument", "the body must be application/json");
  }
  const bytes = await request.bytes();
  if (bytes.length > BODY_BYTES_MAX) {
    throw new MillraceError("invalid_argument", `the body must be at most ${BODY_BYTES_MAX} bytes`);
  }
  const body = parsed(new TextDecoder().decode(bytes));
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw new MillraceError("invalid_argument", "the body must be an object with user and password");
}

/** Undefined for a text that is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
