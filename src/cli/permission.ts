import type { Command } from "commander";
import type { PermissionKind, PermissionOperation, PermissionRequest, PermissionResource } from "../client/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { CliError, EXIT, usageError } from "./exit.ts";

/** `millrace permission …`: rules of who may do what. */

const OPERATIONS: readonly PermissionOperation[] = ["configure", "write", "read", "admin"];
const KINDS: readonly PermissionKind[] = [
  "topic",
  "queue",
  "exchange",
  "group",
  "subject",
  "namespace",
  "transform",
  "broker",
  "*",
];

interface WhoWords {
  forUser?: string;
  forRole?: string;
}

interface PutWords extends WhoWords {
  ofNamespace?: string;
  prefix?: boolean;
  pattern?: boolean;
  id?: string;
}

export function addPermissionCommands(program: Command, runtime: Runtime): void {
  const permission = program.command("permission").description("rules of who may do what");
  addPut(permission, runtime, "allow");
  addPut(permission, runtime, "deny");
  addList(permission, runtime);
  addDelete(permission, runtime);
  addTest(permission, runtime);
}

function addPut(permission: Command, runtime: Runtime, effect: "allow" | "deny"): void {
  const what = effect === "allow" ? "allow something" : "deny something, whatever else allows it";
  const command = permission
    .command(effect)
    .description(what)
    .argument("<operations>", `some of ${OPERATIONS.join(", ")}, with commas between`)
    .argument("<kind>", KINDS.join(", "))
    .argument("[name]", "of the thing; left out, all of that kind")
    .option("--for-user <name>", "whom it is about: a user, or the name in a certificate or token; * is everybody")
    .option("--for-role <role>", "whom it is about: everybody with this role")
    .option("--of-namespace <pattern>", "where; # is everywhere. Default: the namespace that the command works in")
    .option("--prefix", "all names that begin with <name>")
    .option("--pattern", "all names that match <name>, such as orders.*")
    .option("--id <id>", "of the rule, to replace it later");
  examples(command, [
    [`millrace permission ${effect} read,write topic orders --for-user alice`, "one topic"],
    [`millrace permission ${effect} read topic orders. --prefix --for-role readers`, "all whose names begin so"],
    [`millrace permission ${effect} configure,write,read '*' --of-namespace shop --for-user shop`, "a whole namespace"],
  ]);
  action<PutWords>(command, runtime, async (context, [operations = "", kind = "", name], words) => {
    const resource = resourceOf(context, kind, name, words);
    const rule = { ...whoOf(words), effect, operations: operationsOf(operations), resource };
    const id = await context.withClient((client) =>
      client.permissions.put(words.id === undefined ? rule : { ...rule, id: words.id }),
    );
    context.result({ id }, () => `set the rule ${id}\n`);
  });
}

function whoOf({ forUser, forRole }: WhoWords): Pick<PermissionRequest, "principal" | "role"> {
  if (forUser !== undefined && forRole === undefined) return { principal: forUser };
  if (forRole !== undefined && forUser === undefined) return { role: forRole };
  throw usageError("whom the rule is about must be given by --for-user or --for-role", "give one of the two");
}

function operationsOf(text: string): PermissionOperation[] {
  return text.split(",").map((word) => {
    const operation = OPERATIONS.find((candidate) => candidate === word.trim());
    if (operation === undefined) throw usageError(`"${word}" is no operation`, `use ${OPERATIONS.join(", ")}`);
    return operation;
  });
}

function kindOf(word: string): PermissionKind {
  const kind = KINDS.find((candidate) => candidate === word);
  if (kind === undefined) throw usageError(`"${word}" is no kind of thing`, `use ${KINDS.join(", ")}`);
  return kind;
}

function resourceOf(context: Context, word: string, name: string | undefined, words: PutWords): PermissionResource {
  const { ofNamespace, prefix, pattern } = words;
  if (prefix === true && pattern === true) throw usageError("--prefix and --pattern are two ways", "give one");
  const match = name === undefined || prefix === true ? "prefix" : pattern === true ? "pattern" : "literal";
  return { kind: kindOf(word), namespace: ofNamespace ?? context.namespace, name: name ?? "", match };
}

function addList(permission: Command, runtime: Runtime): void {
  const command = permission
    .command("list")
    .alias("ls")
    .description("list the rules of the broker")
    .option("--for-user <name>", "about this principal by name, and not those about its roles")
    .option("--for-role <role>", "about this role");
  examples(command, [["millrace permission list --for-role readers", "what readers may do"]]);
  action<WhoWords>(command, runtime, async (context, _, { forUser, forRole }) => {
    const of = {
      ...(forUser === undefined ? {} : { principal: forUser }),
      ...(forRole === undefined ? {} : { role: forRole }),
    };
    const rules = await context.withClient((client) => client.permissions.list(of));
    context.result(rules, () => {
      const rows = rules.map(({ id, principal, role, effect, operations, resource }) => [
        id,
        principal === null ? `role ${role}` : `user ${principal}`,
        effect,
        operations.join(", "),
        resource.kind,
        resource.namespace,
        nameOf(resource),
      ]);
      return context.table(["ID", "FOR", "EFFECT", "OPERATIONS", "KIND", "NAMESPACE", "NAME"], rows);
    });
  });
}

function nameOf({ name, match }: Required<PermissionResource>): string {
  if (match === "prefix") return name === "" ? "all" : `${name}…`;
  return match === "pattern" ? `pattern ${name}` : `"${name}"`;
}

function addDelete(permission: Command, runtime: Runtime): void {
  const command = permission.command("delete").alias("rm").description("take a rule away").argument("<id>");
  examples(command, [["millrace permission delete 6a0c1f9e", "what it allowed ends, also where it is open"]]);
  action(command, runtime, async (context, [id = ""]) => {
    const deleted = await context.withClient((client) => client.permissions.delete(id));
    if (!deleted) {
      const what = `there is no rule "${id}"`;
      throw new CliError("permission_not_found", what, "see millrace permission list", EXIT.notFound);
    }
    context.result({ id }, () => `deleted the rule ${id}\n`);
  });
}

function addTest(permission: Command, runtime: Runtime): void {
  const command = permission
    .command("test")
    .description("ask what would be decided, and why; exit code 1 for a refusal")
    .argument("<user>")
    .argument("<operation>", `one of ${OPERATIONS.join(", ")}, or an operation such as topic.publish`)
    .argument("<kind>", KINDS.filter((kind) => kind !== "*").join(", "))
    .argument("[name]", "of the thing")
    .option("--of-namespace <namespace>", "where. Default: the namespace that the command works in");
  examples(command, [["millrace permission test alice write topic orders", "allowed or refused, and by which rule"]]);
  action<PutWords>(command, runtime, async (context, [principal = "", operation = "", word = "", name], words) => {
    const kind = kindOf(word);
    if (kind === "*") throw usageError("a question is about one thing", "name its kind");
    const namespace = words.ofNamespace ?? context.namespace;
    const verdict = await context.withClient((client) =>
      client.permissions.test({ principal, operation, resource: { kind, namespace, name: name ?? "" } }),
    );
    const by = verdict.rule === null ? "nothing allows it" : `by ${verdict.rule}`;
    context.result(verdict, () => `${verdict.allowed ? "allowed" : "refused"}: ${by}\n`);
    return verdict.allowed ? EXIT.ok : EXIT.failed;
  });
}
