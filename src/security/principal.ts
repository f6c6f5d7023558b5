/** Who a session or a request acts for. */
export interface Principal {
  readonly name: string;
  /** The namespace that it works in: that of its HELLO, or of its request. */
  readonly namespace: string;
  /** What a token says; the roles of users and certificates are those that their user has at the moment. */
  readonly roles: readonly string[];
  /** How it proved who it is; `internal` is the broker's own processes. */
  readonly kind: "anonymous" | "user" | "certificate" | "token" | "internal";
  /** When what it proved itself with ends, in ms since 1970; absent where it does not end. */
  readonly expiresAtMs?: number | undefined;
}

/** Everybody while `authentication` is off. */
export function anonymous(namespace: string): Principal {
  return { name: "anonymous", namespace, roles: [], kind: "anonymous" };
}
