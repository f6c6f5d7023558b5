/** HELLO: what the client offers, and the answer. Versions and features are negotiated; limits are the server's. */
import { nameFault } from "../broker/index.ts";
import { MillraceError } from "../errors/index.ts";
import { VERSION_MAX, VERSION_MIN } from "../protocol/index.ts";
import { asInteger, asList, asText, fieldsAt, invalid, optional } from "./arguments.ts";
import type { Session } from "./session.ts";

export interface Hello {
  readonly version: number;
  readonly features: readonly string[];
  readonly client: string;
  readonly namespace: string;
  readonly heartbeatMs: number;
  /** Who the peer says it is (log-in.ts); nil for nobody. */
  readonly auth: unknown;
}

/** What a client may ask for by name. */
const FEATURES: readonly string[] = ["zstd", "patterns", "groups"];
export const NAMESPACE_DEFAULT = "default";
const HEARTBEAT_MS_MIN = 50;
const CLIENT_LENGTH_MAX = 256;
const FEATURES_MAX = 64;

/**
 * @param heartbeatMs the server's own interval, the longest a client can have.
 * @throws unsupported_version, invalid_argument.
 */
export function parseHello(args: readonly unknown[], heartbeatMs: number): Hello {
  const fields = fieldsAt(args, 0);
  const [min, max] = asList(fields["version"], "version", 2, asInteger1);
  if (min === undefined || max === undefined || min > max) throw invalid("version", "[min, max]");
  const version = Math.min(max, VERSION_MAX);
  if (version < min || version < VERSION_MIN) {
    throw new MillraceError("unsupported_version", undefined, { details: { min: VERSION_MIN, max: VERSION_MAX } });
  }
  const wanted =
    optional(fields["features"], "features", (value, field) => asList(value, field, FEATURES_MAX, asText)) ?? [];
  const asked = optional(fields["heartbeatMs"], "heartbeatMs", (value, field) => asInteger(value, field)) ?? 0;
  const namespace = optional(fields["namespace"], "namespace", asText) || NAMESPACE_DEFAULT;
  const fault = nameFault(namespace);
  if (fault !== undefined) throw new MillraceError("invalid_argument", `namespace: ${fault}`);
  return {
    version,
    features: wanted.filter((feature) => FEATURES.includes(feature)),
    client: (optional(fields["client"], "client", asText) ?? "").slice(0, CLIENT_LENGTH_MAX),
    namespace,
    auth: fields["auth"],
    heartbeatMs: asked === 0 ? heartbeatMs : Math.min(Math.max(asked, HEARTBEAT_MS_MIN), heartbeatMs),
  };
}

/** The result of HELLO's OK. @param proof of the broker, where the mechanism has one. */
export function welcome(hello: Hello, session: Session, proof?: Uint8Array): Record<string, unknown> {
  const { limits, serverName } = session.services;
  return {
    version: hello.version,
    features: hello.features,
    server: serverName,
    namespace: hello.namespace,
    principal: session.principal.name,
    ...(proof === undefined ? {} : { auth: proof }),
    connection: session.serial,
    heartbeatMs: hello.heartbeatMs,
    publishCreditBytes: limits.publishCreditBytes,
    limits: {
      frameBytesMax: limits.frameBytesMax,
      batchBytesMax: limits.batchBytesMax,
      messageBytesMax: limits.messageBytesMax,
      subscriptionCreditBytesMax: limits.subscriptionCreditBytesMax,
    },
  };
}

function asInteger1(value: unknown, field: string): number {
  return asInteger(value, field, 1, 0xffff);
}
