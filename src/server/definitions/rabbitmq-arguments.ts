/** RabbitMQ's x-arguments and policies as settings of ours. */
import { type Fields, isFields, type Item, ItemFault } from "./shape.ts";

/** Sets settings from an argument's value, or gives none where the value is what happens anyway. */
type Setting = (value: unknown, settings: Record<string, unknown>) => void;
type Kind = "queue" | "exchange";

const to =
  (name: string): Setting =>
  (value, settings) => {
    settings[name] = value;
  };

const OVERFLOW: Readonly<Record<string, string>> = {
  "drop-head": "drop-head",
  "reject-publish": "reject",
  "reject-publish-dlx": "dead-letter",
};

/** Names without `x-`, which policies leave away. */
const QUEUE: Readonly<Record<string, Setting>> = {
  "message-ttl": to("messageTtlMs"),
  expires: to("expiresMs"),
  "max-length": to("lengthMax"),
  "max-length-bytes": to("bytesMax"),
  "max-priority": to("priorityMax"),
  "delivery-limit": to("deliveryLimit"),
  "single-active-consumer": to("singleActive"),
  overflow: (value, settings) => {
    settings["overflow"] = OVERFLOW[String(value)] ?? value;
  },
  "dead-letter-exchange": (value, settings) => {
    settings["deadLetter"] = { ...(settings["deadLetter"] as object | undefined), exchange: value };
  },
  "dead-letter-routing-key": (value, settings) => {
    settings["deadLetter"] = { exchange: "", ...(settings["deadLetter"] as object | undefined), routingKey: value };
  },
};
const EXCHANGE: Readonly<Record<string, Setting>> = {
  "alternate-exchange": to("alternate"),
  "hash-header": to("hashHeader"),
};
/** How RabbitMQ stores or copies a queue: nothing of that is to be chosen here. */
const NEEDLESS =
  /^(queue-mode|queue-version|queue-master-locator|queue-leader-locator|quorum-|ha-|dead-letter-strategy|max-in-memory)/;

/**
 * The settings of a queue or an exchange.
 *
 * @param policy the definition that applies to it; its own arguments go before.
 * @throws ItemFault for a stream, which is no queue here.
 */
export function argumentsOf(kind: Kind, item: Item, policy: Fields, note: (text: string) => void): Fields {
  const settings: Record<string, unknown> = {};
  const own = isFields(item.fields["arguments"]) ? item.fields["arguments"] : {};
  const bare = Object.entries(own).map(([name, value]) => [name.replace(/^x-/, ""), value] as const);
  const known = kind === "queue" ? QUEUE : EXCHANGE;
  // The one of a key that comes last is the one that counts, and of two limits RabbitMQ takes the lower one.
  for (const [name, value] of lower(Object.entries(policy), bare)) {
    if (name === "queue-type") {
      if (value === "stream")
        throw new ItemFault(item.path, "a stream is a topic here: create one, and leave it out of the file");
    } else if (Object.hasOwn(known, name)) known[name]?.(value, settings);
    else note(NEEDLESS.test(name) ? `${name} is not needed here` : `${name} has no counterpart and is not taken over`);
  }
  const { singleActive, ...rest } = settings;
  return singleActive === true ? { ...rest, singleActive } : rest;
}

function lower(policy: (readonly [string, unknown])[], own: (readonly [string, unknown])[]): Map<string, unknown> {
  const all = new Map(policy);
  for (const [name, value] of own) {
    const before = all.get(name);
    all.set(name, typeof before === "number" && typeof value === "number" ? Math.min(before, value) : value);
  }
  return all;
}

interface Policy {
  readonly namespace: unknown;
  readonly pattern: RegExp;
  readonly applyTo: string;
  readonly priority: number;
  readonly definition: Fields;
}

const PATTERN_LENGTH_MAX = 200;
/** A repetition of what repeats itself may take longer than anybody waits. */
const NESTED_REPETITION = /[*+}][^()]*\)[*+{?]/;

export class Policies {
  readonly #policies: readonly Policy[];

  /** @throws ItemFault for a pattern that is none. */
  constructor(items: readonly Item[], note: (item: Item, text: string) => void) {
    this.#policies = items.map((item) => policyOf(item)).sort((a, b) => b.priority - a.priority);
    for (const item of items) {
      note(
        item,
        `the policy ${String(item.fields["name"])} is applied to what the file holds, and not to what comes later`,
      );
    }
  }

  /** The definition that applies: that of the highest priority, as in RabbitMQ. */
  of(what: "queues" | "exchanges", namespace: unknown, name: string): Fields {
    const fits = ({ namespace: of, pattern, applyTo }: Policy): boolean =>
      of === namespace && isAbout(applyTo, what) && pattern.test(name);
    return this.#policies.find(fits)?.definition ?? {};
  }
}

function isAbout(applyTo: string, what: "queues" | "exchanges"): boolean {
  return applyTo === "all" || applyTo === what || (what === "queues" && applyTo.endsWith("_queues"));
}

function policyOf({ fields, path }: Item): Policy {
  const text = String(fields["pattern"] ?? "");
  if (text.length > PATTERN_LENGTH_MAX || NESTED_REPETITION.test(text)) {
    throw new ItemFault(path, `the pattern ${JSON.stringify(text.slice(0, 50))} is too long, or repeats repetitions`);
  }
  try {
    return {
      namespace: fields["vhost"] === "/" || fields["vhost"] === undefined ? "default" : fields["vhost"],
      pattern: new RegExp(text),
      applyTo: String(fields["apply-to"] ?? "all"),
      priority: Number(fields["priority"] ?? 0),
      definition: isFields(fields["definition"]) ? fields["definition"] : {},
    };
  } catch {
    throw new ItemFault(path, `${JSON.stringify(text)} is no pattern`);
  }
}
