/**
 * RabbitMQ's file of definitions (`rabbitmqctl export_definitions`) as a plan of ours. What has no counterpart becomes a note
 * where nothing is lost by it but a setting, and a fault where a queue or an exchange would be another thing.
 */
import { itemsOf, type Fields, type Item, ItemFault, type Note, type Plan, SECTIONS, type Section } from "./shape.ts";
import { argumentsOf, Policies } from "./rabbitmq-arguments.ts";
import { permissionsOf, rolesOf } from "./rabbitmq-users.ts";

export interface Converted {
  readonly plan: Plan;
  readonly notes: readonly Note[];
}

export function isRabbitMq(file: Fields): boolean {
  return ["rabbit_version", "rabbitmq_version", "vhosts"].some((name) => Object.hasOwn(file, name));
}

/** Exchanges that every virtual host has. */
const BUILT_IN: Readonly<Record<string, string>> = {
  "amq.direct": "direct",
  "amq.fanout": "fanout",
  "amq.topic": "topic",
  "amq.headers": "headers",
  "amq.match": "headers",
};
const TYPES: Readonly<Record<string, string>> = {
  direct: "direct",
  fanout: "fanout",
  topic: "topic",
  headers: "headers",
  "x-consistent-hash": "consistent-hash",
};
const LEFT_OUT = ["parameters", "global_parameters", "topic_permissions"];

/** @throws ItemFault. */
export function fromRabbitMq(file: Fields): Converted {
  return new Conversion(file).run();
}

class Conversion {
  readonly #file: Fields;
  readonly #notes: Note[] = [];
  readonly #lists = new Map<Section, Item[]>(SECTIONS.map((section) => [section, []]));

  constructor(file: Fields) {
    this.#file = file;
  }

  run(): Converted {
    for (const item of this.#items("vhosts")) this.#vhost(item);
    this.#users();
    const policies = new Policies(this.#items("policies"), (item, text) => this.#note(item, text));
    for (const item of this.#items("exchanges")) this.#exchange(item, policies);
    for (const item of this.#items("queues")) this.#queue(item, policies);
    for (const item of this.#items("bindings")) this.#binding(item);
    for (const name of LEFT_OUT) {
      for (const item of this.#items(name)) this.#note(item, `${name} have no counterpart and are not taken over`);
    }
    return { plan: Object.fromEntries(this.#lists) as unknown as Plan, notes: this.#notes };
  }

  #items(name: string): Item[] {
    return itemsOf(this.#file[name], [name]);
  }

  #note({ path }: Item, text: string): void {
    this.#notes.push({ path, text });
  }

  #add(section: Section, { path }: Item, fields: Fields): void {
    this.#lists.get(section)?.push({ fields, path });
  }

  #vhost(item: Item): void {
    const name = namespaceOf(item.fields["name"]);
    const { description } = item.fields;
    if (name !== "default")
      this.#add("namespaces", item, { name, description: description === "" ? null : (description ?? null) });
  }

  #users(): void {
    for (const item of this.#items("users")) {
      const { name, password_hash: hash } = item.fields;
      const { roles, unknown } = rolesOf(item.fields["tags"]);
      this.#add("users", item, { name, roles, isEnabled: true, credentials: [] });
      if (typeof hash === "string" && hash !== "") {
        this.#note(
          item,
          `the password of ${String(name)} is not taken over: its hash suits no log-in here; set a new one`,
        );
      }
      if (unknown.length > 0) this.#note(item, `the tags ${unknown.join(", ")} of ${String(name)} have no counterpart`);
    }
    for (const item of this.#items("permissions")) {
      const { rules, notes } = permissionsOf(item.fields, namespaceOf(item.fields["vhost"]));
      for (const rule of rules) this.#add("permissions", item, rule);
      for (const text of notes) this.#note(item, text);
    }
  }

  #exchange(item: Item, policies: Policies): void {
    const { name, type, durable, auto_delete: autoDelete, internal } = item.fields;
    const namespace = namespaceOf(item.fields["vhost"]);
    if (name === "" || (typeof name === "string" && BUILT_IN[name] === type)) return;
    const kind = typeof type === "string" ? TYPES[type] : undefined;
    if (kind === undefined) throw new ItemFault(item.path, `the exchange type ${JSON.stringify(type)} is unknown here`);
    if (durable === false || autoDelete === true)
      this.#note(item, `the exchange ${String(name)} stays until it is deleted`);
    const note = (text: string): void => this.#note(item, `exchange ${String(name)}: ${text}`);
    const config = argumentsOf("exchange", item, policies.of("exchanges", namespace, String(name)), note);
    if (typeof config["alternate"] === "string") this.#needExchange(item, namespace, config["alternate"]);
    this.#add("exchanges", item, {
      namespace,
      name,
      type: kind,
      config: { ...config, ...(internal === true && { internal }) },
    });
  }

  #queue(item: Item, policies: Policies): void {
    const { name, durable, auto_delete: autoDelete } = item.fields;
    const namespace = namespaceOf(item.fields["vhost"]);
    const note = (text: string): void => this.#note(item, `queue ${String(name)}: ${text}`);
    const config = argumentsOf("queue", item, policies.of("queues", namespace, String(name)), note);
    const deadLetter = config["deadLetter"] as { exchange: string } | undefined;
    if (deadLetter !== undefined) this.#needExchange(item, namespace, deadLetter.exchange);
    this.#add("queues", item, {
      namespace,
      name,
      config: { ...config, ...(durable === false && { durable }), ...(autoDelete === true && { autoDelete }) },
    });
  }

  #binding(item: Item): void {
    const { source, destination, destination_type: kind, routing_key: key, arguments: args } = item.fields;
    // Every queue is bound to the default exchange by its name, here too.
    if (source === "") return;
    const namespace = namespaceOf(item.fields["vhost"]);
    this.#needExchange(item, namespace, String(source));
    if (kind === "exchange") this.#needExchange(item, namespace, String(destination));
    const target = kind === "exchange" ? { to: destination } : { queue: destination };
    this.#add("bindings", item, { namespace, exchange: source, ...target, key: key ?? "", ...matchOf(args) });
  }

  /** A built-in exchange is made when something names it. */
  #needExchange(item: Item, namespace: string, name: string): void {
    const type = BUILT_IN[name];
    const exchanges = this.#lists.get("exchanges") ?? [];
    const isThere = exchanges.some(({ fields }) => fields["namespace"] === namespace && fields["name"] === name);
    if (type !== undefined && !isThere) this.#add("exchanges", item, { namespace, name, type, config: {} });
  }
}

function namespaceOf(vhost: unknown): string {
  return vhost === "/" || vhost === undefined ? "default" : String(vhost);
}

/** `x-match` and the headers beside it. */
function matchOf(args: unknown): Fields {
  const { "x-match": match, ...headers } = (args ?? {}) as Record<string, unknown>;
  if (match === undefined && Object.keys(headers).length === 0) return {};
  return { match: String(match ?? "all").replace(/-with-x$/, ""), headers };
}
