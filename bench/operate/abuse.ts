import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { BrokerChild, Child } from "../lib/processes.ts";
import type { Stage } from "../limits/stage.ts";
import type { OperateMeasure } from "./house.ts";
import type { CrowdCounts, CrowdRequest, CrowdSizes } from "./programs/crowd.ts";
import type { PairOutcome, PairRequest, PairRun } from "./programs/pair.ts";
import type { Sizes } from "./sizes.ts";

/** A well-behaved producer and consumer, alone and beside everybody else. */

const ISSUER = "https://issuer.example";
const AUDIENCE = "millrace";
const ALGORITHM = "ES256";
const TOKEN_S = 3_600;

/** What a run came to. */
export interface AbuseResult {
  readonly quiet: PairRun;
  readonly abused: PairRun;
  readonly pair: PairOutcome;
  readonly crowd: CrowdCounts;
  /** The broker's memory without files (RssAnon): alone, after the first fifth of the abuse, at its end. */
  readonly memoryMb: { readonly quiet: number; readonly early: number; readonly late: number };
}

export interface AbuseSizes {
  readonly crowd: CrowdSizes;
  readonly quietSeconds: number;
  readonly abuseSeconds: number;
  /** Of the well-behaved producer. */
  readonly perSecond: number;
}

/** An issuer of tokens: the flags of a broker that takes them, and a token of an administrator. */
export async function issue(folder: string): Promise<{ flags: string[]; token: string }> {
  const { privateKey, publicKey } = await generateKeyPair(ALGORITHM);
  const key = { ...(await exportJWK(publicKey)), kid: "bench", alg: ALGORITHM, use: "sig" };
  const jwksFile = join(folder, "jwks.json");
  await writeFile(jwksFile, JSON.stringify({ keys: [key] }));
  const token = await new SignJWT({ roles: ["administrator"] })
    .setProtectedHeader({ alg: ALGORITHM, kid: "bench" })
    .setSubject("bench")
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + TOKEN_S)
    .sign(privateKey);
  const issuer = ["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-jwks-file", jwksFile];
  return { flags: ["--authentication", "required", ...issuer], token };
}

/** The programs of a run, each in a process of its own. */
export interface AbuseCast {
  readonly broker: BrokerChild;
  readonly pair: Child;
  readonly crowd: Child;
  readonly token: string;
}

/** Runs the pair alone, then beside the crowd. @param say hears what is going on. */
export async function runAbuse(
  { broker, pair, crowd, token }: AbuseCast,
  sizes: AbuseSizes,
  say: (line: string) => void = () => undefined,
): Promise<AbuseResult> {
  const askPair = (request: PairRequest): Promise<unknown> => pair.request(request);
  const askCrowd = (request: CrowdRequest): Promise<unknown> => crowd.request(request);
  const { perSecond, quietSeconds, abuseSeconds } = sizes;
  const run = async (seconds: number): Promise<PairRun> =>
    (await askPair({ op: "run", seconds, perSecond })) as PairRun;
  const place = { port: broker.port, token };
  await askPair({ op: "open", ...place });
  // Once for the compilers of all three.
  await run(quietSeconds / 4);
  const quiet = await run(quietSeconds);
  const quietMb = broker.rssAnonMb();
  say(`quiet: p99 ${quiet.p99Ms.toFixed(2)} ms`);
  await askCrowd({ op: "gather", ...place, sizes: sizes.crowd });
  await askCrowd({ op: "misbehave" });
  await run(abuseSeconds / 5);
  const early = broker.rssAnonMb();
  const abused = await run((abuseSeconds * 4) / 5);
  const memoryMb = { quiet: quietMb, early, late: broker.rssAnonMb() };
  say(`beside the crowd: p99 ${abused.p99Ms.toFixed(2)} ms`);
  const counts = (await askCrowd({ op: "count" })) as CrowdCounts;
  return { quiet, abused, pair: (await askPair({ op: "finish" })) as PairOutcome, crowd: counts, memoryMb };
}

/** Fails where the crowd got what it must not, or the pair did not get what it must. */
function check({ pair, crowd }: AbuseResult, sizes: CrowdSizes): void {
  const { sent, acknowledged, received, twice } = pair;
  if (sent !== acknowledged || sent !== received || twice > 0) throw new Error(`of the pair: ${JSON.stringify(pair)}`);
  const { idleOpen, busyOpen, guessesUnanswered } = crowd;
  if (idleOpen !== sizes.idle || busyOpen !== sizes.busy || guessesUnanswered > 0) {
    throw new Error(`of the crowd: ${JSON.stringify(crowd)}`);
  }
}

async function measureOnce(stage: Stage<Sizes>): Promise<void> {
  const { flags, token } = await issue(await stage.folder());
  const broker = await stage.broker(flags);
  const [pair, crowd] = [await stage.program("pair"), await stage.program("crowd")];
  const sizes = stage.sizes.abuse;
  const say = (line: string): void => stage.context.progress(`  ${line}`);
  const result = await runAbuse({ broker, pair, crowd, token }, sizes, say);
  check(result, sizes.crowd);
  const { quiet, abused, memoryMb } = result;
  stage.add("abuse_p99_ratio", abused.p99Ms / quiet.p99Ms);
  stage.add("abuse_p99_ms", abused.p99Ms);
  stage.add("quiet_p99_ms", quiet.p99Ms);
  stage.add("abuse_late_p99_ms", abused.lateP99Ms);
  stage.add("abuse_memory_growth", memoryMb.late / memoryMb.early);
  stage.add("abuse_memory_mb", memoryMb.late);
  await stage.clear();
}

export const ABUSE: OperateMeasure = {
  title: "a well-behaved pair beside a crowd",
  figures: [
    {
      name: "abuse_p99_ratio",
      unit: "ratio",
      goal: { atMost: 3 },
      note: "publish to delivery beside 2,000 idle, 200 busy, 100 slow connections, a publisher at ten times its quota and a login flood / alone",
    },
    { name: "abuse_p99_ms", unit: "ms" },
    { name: "quiet_p99_ms", unit: "ms" },
    { name: "abuse_late_p99_ms", unit: "ms", note: "how late the pair's own process was with its records" },
    {
      name: "abuse_memory_growth",
      unit: "ratio",
      note: "RssAnon of the broker at the end / after a fifth of the abuse",
    },
    { name: "abuse_memory_mb", unit: "MB" },
  ],
  prepare: async (stage) => () => measureOnce(stage),
};
