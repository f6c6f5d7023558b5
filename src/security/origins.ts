/**
 * Which web pages may speak to the broker. A browser lets any page send requests to any server, and says in `Origin` which
 * page it was; programs send none.
 */
export interface OriginRules {
  /** Nobody has to log in, and being on this machine is all that protects the broker. */
  readonly isLocalOnly: boolean;
  /** Further origins: `https://app.example.com`. */
  readonly allowed: readonly string[];
}

/** Whether the page that made this request may; true for programs. */
export function isOriginAllowed(headers: Headers, { isLocalOnly, allowed }: OriginRules): boolean {
  const origin = headers.get("origin");
  if (origin === null) return !isLocalOnly || !isRebound(headers);
  if (allowed.includes(origin)) return true;
  const url = URL.parse(origin);
  if (url === null) return false;
  // A name that an attacker points to this machine makes his page and the broker one origin, so where only the address
  // protects, the host's name has to be one that only this machine has.
  if (isLocalName(url.hostname)) return isLocalHost(headers);
  return !isLocalOnly && isSameHost(url, headers);
}

/** A page's request for its own host, under a name that is not this machine's: see above. */
function isRebound(headers: Headers): boolean {
  return headers.has("sec-fetch-site") && !isLocalHost(headers);
}

function isLocalHost(headers: Headers): boolean {
  const url = URL.parse(`http://${headers.get("host") ?? ""}`);
  return url !== null && isLocalName(url.hostname);
}

function isSameHost(url: URL, headers: Headers): boolean {
  return url.host === URL.parse(`${url.protocol}//${headers.get("host") ?? ""}`)?.host;
}

function isLocalName(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name);
}
