/** Requests of the broker's HTTP interface, and what it answers when it refuses one. */
import { Store } from "./store.ts";

export const API = "/api/v1";

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface Answer<T> {
  readonly body: T;
  /** Of an entity; a change that names it in `ifMatch` fails when somebody else was faster. */
  readonly etag: string | null;
}

/** An error as the broker tells it: src/errors/catalogue.json. */
export class ApiError extends Error {
  readonly status: number;
  readonly codeName: string;
  readonly action: string;

  constructor(status: number, codeName: string, message: string, action: string) {
    super(message);
    this.status = status;
    this.codeName = codeName;
    this.action = action;
  }
}

/** What login and whoami gave: changes are refused without it. */
export const csrfToken = new Store<string | null>(null);
/** Set when the broker wants to know who asks. */
export const isLoginNeeded = new Store(false);

const CSRF_HEADER = "x-millrace-csrf";

export interface RequestOptions {
  readonly body?: unknown;
  readonly ifMatch?: string | null;
  readonly signal?: AbortSignal;
  /** A refused log-in is an answer, not a reason to ask for a log-in. */
  readonly isLogin?: boolean;
}

/** @throws ApiError, also where there is no answer (status 0). */
export async function request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<Answer<T>> {
  const { body, ifMatch, signal } = options;
  const headers = new Headers({ accept: "application/json" });
  if (body !== undefined) headers.set("content-type", "application/json");
  if (ifMatch) headers.set("if-match", ifMatch);
  if (method !== "GET" && csrfToken.value !== null) headers.set(CSRF_HEADER, csrfToken.value);
  const response = await fetch(path, {
    method,
    headers,
    credentials: "same-origin",
    cache: "no-store",
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The broker does not answer.", "It may have stopped; this page tries again.");
  });
  if (response.status === 401 && options.isLogin !== true) isLoginNeeded.set(true);
  const text = await response.text();
  if (!response.ok) throw errorOf(response.status, text);
  return { body: (text === "" ? null : JSON.parse(text)) as T, etag: response.headers.get("etag") };
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const { body } = await request<T>("GET", path, signal === undefined ? {} : { signal });
  return body;
}

export async function post<T>(path: string, body?: unknown): Promise<T> {
  return (await request<T>("POST", path, { body })).body;
}

export async function put<T>(path: string, body: unknown): Promise<T> {
  return (await request<T>("PUT", path, { body })).body;
}

export async function patch<T>(path: string, body: unknown, ifMatch?: string | null): Promise<T> {
  return (await request<T>("PATCH", path, { body, ifMatch: ifMatch ?? null })).body;
}

export async function remove(path: string): Promise<void> {
  await request("DELETE", path);
}

/** A path under the interface, its words encoded: `apiPath(["topics", "default", "a/b"], { limit: 10 })`. */
export function apiPath(
  words: readonly string[],
  query: Readonly<Record<string, string | number | boolean | undefined>> = {},
): string {
  const path = `${API}/${words.map(encodeURIComponent).join("/")}`;
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, String(value)]],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

interface ErrorBody {
  /** The broker's own form. */
  readonly error?: { readonly name?: string; readonly message?: string; readonly action?: string };
  /** The registry's form, which is that of Confluent's. */
  readonly message?: string;
  readonly error_code?: number;
}

function errorOf(status: number, text: string): ApiError {
  const { error, message, error_code: code } = parsed(text);
  if (error !== undefined) {
    return new ApiError(status, error.name ?? "http", error.message ?? `HTTP ${status}`, error.action ?? "");
  }
  return new ApiError(status, code === undefined ? "http" : `registry ${code}`, message ?? `HTTP ${status}`, "");
}

function parsed(text: string): ErrorBody {
  try {
    return (JSON.parse(text) ?? {}) as ErrorBody;
  } catch {
    return {};
  }
}
