/** Every setting of the broker, with its default, its range and one line of documentation. */
import { exposureFaults } from "./exposure.ts";
import { choice, type Field, number, text, yesOrNo } from "./field.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;
const SECOND = 1000;
const DAY = 86_400 * SECOND;
/** A hundred years: far enough for "keep it", and still exact in every unit. */
const SPAN_MAX = 36_600 * DAY;

/** Only programs of this machine reach it. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function isHost(host: string): boolean {
  return /^[\w.:%-]{1,253}$/.test(host);
}

/** The path of a file; nothing says that there is none. */
function file(doc: string): Field<string> {
  return text("", "a path, or nothing", (path) => !path.includes("\0"), doc);
}

function word(value: string, doc: string): Field<string> {
  return text(value, "a text", (candidate) => !/[\p{Cc}]/u.test(candidate), doc);
}

function areOrigins(list: string): boolean {
  return originsOf(list).every(
    (origin) => /^https?:$/.test(URL.parse(origin)?.protocol ?? "") && URL.parse(origin)?.origin === origin,
  );
}

/** The origins in a text with commas between them. */
export function originsOf(list: string): string[] {
  return list.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]));
}

/** Whoever stands between the broker and the issuer could let anybody in, so it is TLS or this machine. */
function isKeysUrl(url: string): boolean {
  if (url === "") return true;
  const parsed = URL.parse(url);
  const host = parsed?.hostname.replace(/^\[|\]$/g, "") ?? "";
  return parsed?.protocol === "https:" || (parsed?.protocol === "http:" && isLoopback(host));
}

/** Without credentials: settings are printed. */
function isUrlOrEmpty(text: string): boolean {
  const url = URL.parse(text);
  return text === "" || (url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "");
}

const port = { min: 0, max: 65_535 };
const perConnection = { min: 1, max: 1_000_000 };
const span = { min: 100, max: SPAN_MAX };

export const FIELDS = {
  host: text(
    "127.0.0.1",
    "an address or a host name",
    isHost,
    "Address that the listeners bind; one that is not a loopback address needs authentication, or insecure.",
  ),
  port: number("count", 7400, port, "TCP port of the native protocol; 0 takes a free one."),
  httpPort: number("count", 7480, port, "Port of HTTP and of WebSocket at /ws; 0 takes a free one."),
  registryPort: number(
    "count",
    8081,
    port,
    "Port of the schema registry's HTTP interface; 0 takes a free one, and so does the default where httpPort is 0.",
  ),
  dataDir: text(
    "./millrace-data",
    "a path",
    (path) => path !== "" && !path.includes("\0"),
    "Folder of the log; one broker at a time uses it.",
  ),
  backupDir: text(
    "",
    "a path, or nothing",
    (path) => !path.includes("\0"),
    "Folder of backups; empty is `backups` in dataDir. On the same file system they cost links, on another copies.",
  ),
  storage: choice(
    "disk",
    ["disk", "memory"],
    "Where logs live; memory keeps nothing over a restart and uses no dataDir.",
  ),
  threads: number("count", 1, { min: 1, max: 64 }, "Worker threads, each with its own event loop and listeners."),
  logLevel: choice(
    "info",
    ["debug", "info", "warn", "error"],
    "Least level of lines in the log; those of the audit are written at any.",
  ),

  frameBytesMax: number("bytes", 16 * MIB, { min: 64 * KIB, max: 256 * MIB }, "Longest frame that is accepted."),
  batchBytesMax: number("bytes", 8 * MIB, { min: 4 * KIB, max: 128 * MIB }, "Largest batch that is accepted."),
  messageBytesMax: number("bytes", MIB, { min: 1, max: 64 * MIB }, "Largest record; a topic can lower it."),
  connectionsMax: number("count", 10_000, perConnection, "Connections at a time, of all listeners and threads."),
  connectionOutBytesMax: number(
    "bytes",
    8 * MIB,
    { min: 64 * KIB, max: GIB },
    "Unsent bytes of a connection; over it the connection is closed as a slow consumer.",
  ),
  publishersPerConnectionMax: number("count", 1024, perConnection, "Open publishers of a connection."),
  subscriptionsPerConnectionMax: number("count", 1024, perConnection, "Open subscriptions of a connection."),
  sourcesPerSubscriptionMax: number("count", 16_384, perConnection, "Partitions that one subscription reads."),
  requestsInFlightMax: number("count", 1024, perConnection, "Unanswered requests of a connection."),

  publishCreditBytes: number(
    "bytes",
    8 * MIB,
    { min: 64 * KIB, max: GIB },
    "Bytes of publish frames that a connection may have unacknowledged.",
  ),
  publishOverdraftBytesMax: number(
    "bytes",
    8 * MIB,
    { min: 0, max: GIB },
    "How far over its credit a connection is paused before it is closed.",
  ),
  subscriptionCreditBytesMax: number(
    "bytes",
    64 * MIB,
    { min: 64 * KIB, max: GIB },
    "Largest delivery credit that a subscription may hold.",
  ),
  patternBufferBytesMax: number(
    "bytes",
    MIB,
    { min: 4 * KIB, max: GIB },
    "Bytes that a pattern subscription may lag before records are dropped.",
  ),

  writeBytesPerTurn: number(
    "bytes",
    256 * KIB,
    { min: 4 * KIB, max: 64 * MIB },
    "Bytes written to one connection in a turn of the loop.",
  ),
  turnBytesMax: number(
    "bytes",
    2 * MIB,
    { min: 4 * KIB, max: GIB },
    "Bytes written to all connections in a turn of the loop.",
  ),
  deliveryBytesMax: number(
    "bytes",
    MIB,
    { min: 4 * KIB, max: 128 * MIB },
    "Longest run of batches in one delivery, unless a single batch is longer.",
  ),
  viewBytesMin: number(
    "bytes",
    16 * KIB,
    { min: 0, max: 64 * MIB },
    "Delivery runs shorter than this are copied and coalesced, longer ones sent from the map.",
  ),
  ringBytes: number(
    "bytes",
    MIB,
    { min: 64 * KIB, max: GIB },
    "Staging of single records per partition, allocated when it is used.",
  ),

  segmentBytes: number(
    "bytes",
    64 * MIB,
    { min: 64 * KIB, max: 2 * GIB - MIB },
    "Size at which a segment is sealed; a topic can set its own.",
  ),
  segmentMs: number("ms", 7 * DAY, span, "Age at which a segment is sealed; a topic can set its own."),
  indexIntervalBytes: number(
    "bytes",
    64 * KIB,
    { min: 4 * KIB, max: 64 * MIB },
    "Log bytes between two entries of the sparse index.",
  ),
  mappedSegmentsMax: number(
    "count",
    1024,
    { min: 8, max: 60_000 },
    "Segments mapped at a time, least recently used first out.",
  ),
  openFilesMax: number(
    "count",
    4096,
    { min: 16, max: 1_000_000 },
    "Segment files open at a time, least recently used first out.",
  ),
  diskFreeBytesMin: number(
    "bytes",
    256 * MIB,
    { min: 0, max: TIB },
    "Free disk space below which publishers are held back, and below half of which refused; 0 switches it off.",
  ),
  memoryBytesMax: number(
    "bytes",
    0,
    { min: 0, max: 1024 * TIB, none: -1 },
    "Memory over which publishers are held back, over 1.1 times which refused; 0 is 0.6 of machine or container.",
  ),
  dirtyBytesMax: number("bytes", GIB, { min: MIB, max: TIB }, "Unsynced bytes over which publish credit is withheld."),
  checkpointBytes: number(
    "bytes",
    16 * MIB,
    { min: 64 * KIB, max: TIB },
    "Log bytes of a partition between two checkpoints; recovery scans what lies behind the last.",
  ),

  retentionMs: number(
    "ms",
    7 * DAY,
    { min: 1, max: SPAN_MAX, none: -1 },
    "Age at which records go; a topic can set its own.",
  ),
  retentionBytes: number(
    "bytes",
    -1,
    { min: 1, max: 1024 * TIB, none: -1 },
    "Size of a partition over which its oldest segments go; up to an eighth more, or one segment, may stay for 15 s. A topic can set its own.",
  ),
  retentionCheckMs: number(
    "ms",
    5 * SECOND,
    { min: 10, max: DAY },
    "Time between two rounds of retention and compaction.",
  ),
  tombstoneRetentionMs: number(
    "ms",
    DAY,
    { min: 0, max: SPAN_MAX },
    "How long compaction keeps a tombstone; a topic can set its own.",
  ),
  compactionKeysMax: number(
    "count",
    10_000_000,
    { min: 1000, max: 1_000_000_000 },
    "Keys that one round of compaction holds in memory.",
  ),
  otlpUrl: text(
    "",
    "empty, or an http or https URL without credentials",
    isUrlOrEmpty,
    "Collector of OpenTelemetry (OTLP/HTTP) that gets spans of messages whose `traceparent` asks for it; empty is none.",
  ),
  flightRecorderBytes: number(
    "bytes",
    8 * MIB,
    { min: 0, max: GIB },
    "What each thread, and each namespace with queues, remembers of what came and went, for `millrace explain`; 0 is nothing.",
  ),
  keyIndexEntriesMax: number(
    "count",
    1_000_000,
    { min: 1, max: 1_000_000_000 },
    "Keys per partition whose last offset is kept in memory for conditional publishes.",
  ),
  producersPerPartitionMax: number(
    "count",
    10_000,
    { min: 1, max: 10_000_000 },
    "Idempotent producers that a partition remembers, least recently used first out.",
  ),

  heartbeatMs: number(
    "ms",
    10 * SECOND,
    { min: 100, max: 10 * 60 * SECOND },
    "Time between two PINGs; after three times as much silence the connection is closed.",
  ),
  handshakeTimeoutMs: number(
    "ms",
    5 * SECOND,
    { min: 100, max: 10 * 60 * SECOND },
    "Time that a new connection has for its HELLO.",
  ),
  handshakesMax: number(
    "count",
    1000,
    perConnection,
    "Connections of a thread that have not logged in; when one more comes, the oldest of them is ended.",
  ),
  sessionTimeoutMs: number(
    "ms",
    10 * SECOND,
    { min: 100, max: 300 * SECOND },
    "Silence after which a group drops a member that states no time of its own.",
  ),
  drainTimeoutMs: number(
    "ms",
    10 * SECOND,
    { min: 0, max: 3600 * SECOND },
    "Time that a graceful stop gives to what is in flight.",
  ),

  groupsMax: number("count", 10_000, perConnection, "Consumer groups of the broker."),
  membersPerGroupMax: number("count", 1000, { min: 1, max: 100_000 }, "Members of one group."),
  topicsMax: number("count", 10_000, perConnection, "Topics of the broker."),
  partitionsPerTopicMax: number("count", 10_000, perConnection, "Partitions of one topic."),
  partitionsMax: number("count", 50_000, perConnection, "Partitions of the broker, over all topics."),
  exchangesMax: number("count", 10_000, perConnection, "Exchanges of the broker."),
  queuesMax: number("count", 100_000, perConnection, "Queues of the broker."),
  bindingsMax: number("count", 100_000, { min: 1, max: 10_000_000 }, "Bindings of the broker, over all exchanges."),
  prefetchMax: number(
    "count",
    65_535,
    { min: 1, max: 1_000_000 },
    "Unsettled messages that one subscription to a queue may hold.",
  ),
  transactionsOpenMax: number("count", 10_000, perConnection, "Open transactions of one worker thread."),
  transactionBytesMax: number("bytes", 8 * MIB, { min: 4 * KIB, max: 64 * MIB }, "Size of one transaction."),
  transactionsBytesMax: number(
    "bytes",
    256 * MIB,
    { min: 4 * KIB, max: 64 * GIB },
    "Size of all open transactions of one worker thread.",
  ),
  transactionTimeoutMs: number("ms", 60 * SECOND, span, "Longest time that a transaction may stay open."),
  schemaBytesMax: number("bytes", 512 * KIB, { min: KIB, max: 4 * MIB }, "Longest text of a schema."),
  schemasMax: number("count", 100_000, { min: 1, max: 10_000_000 }, "Schemas of the registry, deleted ones included."),
  schemasBytesMax: number(
    "bytes",
    256 * MIB,
    { min: KIB, max: 64 * GIB },
    "Texts of all schemas of the registry, which are kept in memory.",
  ),
  schemaVersionsMax: number(
    "count",
    1000,
    { min: 1, max: 100_000 },
    "Versions of one subject of the registry, deleted ones included.",
  ),
  namespaces: choice(
    "open",
    ["open", "declared"],
    "Whether a namespace begins with its first use, or has to be declared before anybody enters it.",
  ),
  namespacesMax: number("count", 10_000, { min: 1, max: 1_000_000 }, "Namespaces that are declared."),
  quotasMax: number("count", 10_000, { min: 1, max: 1_000_000 }, "Quotas of namespaces and users."),
  schedulesMax: number("count", 10_000, { min: 1, max: 1_000_000 }, "Messages that are published again and again."),
  transformsDir: text(
    "./millrace-transforms",
    "a path",
    (path) => path !== "" && !path.includes("\0"),
    "Folder of the functions that transforms name; what is in it runs with the broker's rights.",
  ),
  transformsMax: number(
    "count",
    100,
    { min: 0, max: 10_000 },
    "Transforms of the broker; each has processes of its own.",
  ),
  transactionalIdsMax: number(
    "count",
    10_000,
    { min: 1, max: 10_000_000 },
    "Transactional ids that one worker thread remembers, least recently used first out.",
  ),

  authentication: choice("off", ["off", "required"], "Whether peers have to log in; off lets everybody do everything."),
  insecure: yesOrNo(false, "Serves other machines although nobody has to log in."),
  adminPasswordFile: file("File with the password of the user admin, who is made at the start if there is none."),
  tlsCertFile: file("Certificate of all listeners, with its chain, as PEM; read again when it changes and on SIGHUP."),
  tlsKeyFile: file("Key of tlsCertFile, as PEM without a passphrase."),
  tlsClientCaFile: file("Certificates (PEM) of those who sign the certificates of clients."),
  tlsClientAuth: choice(
    "none",
    ["none", "optional", "required"],
    "Whether clients show certificates; optional is of TCP alone, HTTP then asks for none.",
  ),
  allowedOrigins: text(
    "",
    "origins such as https://app.example.com, with commas between",
    areOrigins,
    "Origins whose web pages may use the broker, besides its own.",
  ),
  jwtIssuer: word("", "The issuer that a token names (iss)."),
  jwtAudience: word("", "The audience that a token names (aud)."),
  jwtJwksFile: file("File with the public keys of the issuer (JWKS); read again when it changes."),
  jwtJwksUrl: text("", "an https URL, or nothing", isKeysUrl, "Address of the public keys of the issuer (JWKS)."),
  jwtPrincipalClaim: word("sub", "Claim of a token that names its holder; dots lead into a claim."),
  jwtRolesClaim: word("roles", "Claim with the roles of a token's holder; dots lead into a claim."),
  usersMax: number("count", 10_000, { min: 1, max: 1_000_000 }, "Users of the broker."),
  rolesMax: number("count", 1_000, { min: 1, max: 100_000 }, "Roles of the broker, without the built-in ones."),
  permissionsMax: number(
    "count",
    10_000,
    { min: 1, max: 1_000_000 },
    "Permission rules; a decision that is not remembered yet reads all of one principal.",
  ),
  auditFile: text(
    "",
    "a path, or nothing",
    (path) => !path.includes("\0"),
    "File that administrative acts and refusals are written to; without one they stand in the log.",
  ),
} as const;

type Fields = typeof FIELDS;
export type ConfigKey = keyof Fields;

/** The broker's configuration: plain numbers of bytes and milliseconds. */
export type Config = { readonly [K in ConfigKey]: Fields[K] extends Field<infer T> ? T : never };

export const CONFIG_KEYS = Object.keys(FIELDS) as ConfigKey[];

/** `frameBytesMax` is MILLRACE_FRAME_BYTES_MAX in the environment. */
export function envName(key: string): string {
  return `MILLRACE_${key.replace(/[A-Z]/g, "_$&").toUpperCase()}`;
}

/** `frameBytesMax` is --frame-bytes-max on the command line. */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Pairs that have to stand in order, with the reason that an error gives. */
const ORDERED: readonly (readonly [less: ConfigKey, more: ConfigKey, why: string])[] = [
  ["messageBytesMax", "batchBytesMax", "the largest record has to fit into a batch"],
  ["batchBytesMax", "frameBytesMax", "the largest batch has to fit into a frame"],
  ["viewBytesMin", "deliveryBytesMax", "no run would be sent from the map"],
  ["deliveryBytesMax", "subscriptionCreditBytesMax", "a delivery has to fit into the credit"],
  ["writeBytesPerTurn", "turnBytesMax", "one connection's share has to fit into the turn"],
  ["schemaBytesMax", "schemasBytesMax", "one schema has to fit into all"],
  ["transactionBytesMax", "transactionsBytesMax", "one transaction has to fit into all"],
  ["partitionsPerTopicMax", "partitionsMax", "one topic cannot hold more than all"],
];

/** What is wrong with values that are each accepted alone; `sourceOf` tells where a key's value came from. */
export function crossFaults(config: Config, sourceOf: (key: ConfigKey) => string): string[] {
  const faults: string[] = [];
  const say = (key: ConfigKey): string => `${key} (${config[key]}, from ${sourceOf(key)})`;
  for (const [less, more, why] of ORDERED) {
    if (Number(config[less]) > Number(config[more])) faults.push(`${say(less)} is over ${say(more)}: ${why}`);
  }
  const taken = config.publishCreditBytes + config.publishOverdraftBytesMax;
  if (config.batchBytesMax > taken) {
    faults.push(
      `${say("batchBytesMax")} is over publishCreditBytes + publishOverdraftBytesMax (${taken}): a batch has to fit`,
    );
  }
  const ports = ["port", "httpPort", "registryPort"] as const;
  for (const [index, key] of ports.entries()) {
    const other = ports.slice(0, index).find((earlier) => config[earlier] !== 0 && config[earlier] === config[key]);
    if (other !== undefined) faults.push(`${say(key)} is the same as ${say(other)}: each needs its own`);
  }
  return [...faults, ...exposureFaults(config)];
}
