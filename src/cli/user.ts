import type { Command } from "commander";
import { action, collect, examples, type Runtime } from "./command.ts";
import { CliError, EXIT, usageError } from "./exit.ts";
import { newPasswordOf, type NewPasswordWords } from "./new-password.ts";
import { formatTime } from "./units.ts";

/** `millrace user …` and `millrace role …`. */

interface UserWords extends NewPasswordWords {
  role?: string[];
  roles?: boolean;
  enable?: boolean;
  disable?: boolean;
}

export function addUserCommands(program: Command, runtime: Runtime): void {
  const user = program.command("user").description("who may log in");
  addCreate(user, runtime);
  addSet(user, runtime);
  addUserList(user, runtime);
  addUserDelete(user, runtime);
  const role = program.command("role").description("what users have in common");
  addRolePut(role, runtime);
  addRoleList(role, runtime);
  addRoleDelete(role, runtime);
}

function withPassword(command: Command): Command {
  return command
    .option(
      "--new-password-file <file>",
      "the password's file, or - for standard input; a newline at its end is none of it",
    )
    .option("--role <role>", "a role, as often as needed; these instead of those it had", collect);
}

function addCreate(user: Command, runtime: Runtime): void {
  const command = withPassword(
    user.command("create").description("make a user; asks for its password").argument("<user>"),
  ).option("--no-new-password", "without one, for a user that logs in by certificate");
  examples(command, [
    ["millrace user create alice --role operators", "asks for her password, and shows nothing of it"],
    ["millrace user create loader --new-password-file loader.secret", "the password of a program"],
  ]);
  action<UserWords>(command, runtime, async (context, [name = ""], words) => {
    const password = await newPasswordOf(words, true);
    const isNew = await context.withClient(async (client) => {
      const known = (await client.users.list()).some((other) => other.name === name);
      if (!known) await client.users.put({ name, roles: words.role ?? [], ...given(password) });
      return !known;
    });
    if (!isNew) {
      throw new CliError("user_exists", `there is a user "${name}"`, "change it with millrace user set");
    }
    context.result({ user: name }, () => `created the user ${name}\n`);
  });
}

function addSet(user: Command, runtime: Runtime): void {
  const command = withPassword(user.command("set").description("change a user, or make one").argument("<user>"))
    .option("--new-password", "ask for a new password")
    .option("--no-roles", "take all roles away")
    .option("--enable", "let it log in again")
    .option("--disable", "end its connections, and let it log in no more");
  examples(command, [
    ["millrace user set alice --new-password", "asks for a new password"],
    ["millrace user set alice --disable", "her connections end at once"],
    ["millrace user set alice --role operators --role monitoring", "these two roles and no others"],
  ]);
  action<UserWords>(command, runtime, async (context, [name = ""], words) => {
    const { role, roles = true, enable, disable } = words;
    if (enable === true && disable === true) throw usageError("--enable and --disable are opposites", "give one");
    if (!roles && role !== undefined) throw usageError("--role and --no-roles are opposites", "give one");
    const password = await newPasswordOf(words, false);
    const created = await context.withClient((client) =>
      client.users.put({
        name,
        ...given(password),
        ...(role === undefined ? {} : { roles: role }),
        ...(roles ? {} : { roles: [] }),
        ...(enable === true ? { isEnabled: true } : {}),
        ...(disable === true ? { isEnabled: false } : {}),
      }),
    );
    context.result({ user: name, created }, () => `${created ? "created" : "changed"} the user ${name}\n`);
  });
}

function given(password: string | undefined): { password?: string } {
  return password === undefined ? {} : { password };
}

function addUserList(user: Command, runtime: Runtime): void {
  const command = user.command("list").alias("ls").description("list the users of the broker");
  examples(command, [["millrace user list", "their roles, and how they log in"]]);
  action(command, runtime, async (context) => {
    const users = await context.withClient((client) => client.users.list());
    context.result(users, () => {
      const rows = users.map(({ name, roles, isEnabled, mechanisms, createdMs }) => [
        name,
        roles.join(", ") || "-",
        isEnabled ? "yes" : "no",
        mechanisms.length > 0 ? "password" : "-",
        formatTime(createdMs),
      ]);
      return context.table(["USER", "ROLES", "ENABLED", "LOGS IN BY", "CREATED"], rows);
    });
  });
}

function addUserDelete(user: Command, runtime: Runtime): void {
  const command = user.command("delete").alias("rm").description("take a user away").argument("<user>");
  examples(command, [["millrace user delete alice", "her connections end, and the rules about her go"]]);
  action(command, runtime, async (context, [name = ""]) => {
    const deleted = await context.withClient((client) => client.users.delete(name));
    if (!deleted) {
      throw new CliError("user_not_found", `there is no user "${name}"`, "see millrace user list", EXIT.notFound);
    }
    context.result({ user: name }, () => `deleted the user ${name}\n`);
  });
}

function addRolePut(role: Command, runtime: Runtime): void {
  const command = role
    .command("put")
    .alias("set")
    .description("make a role, or describe it anew")
    .argument("<role>")
    .option("--description <text>", "what it is for");
  examples(command, [["millrace role put operators --description 'the team on call'", "give it rights by rules"]]);
  action<{ description?: string }>(command, runtime, async (context, [name = ""], { description }) => {
    const created = await context.withClient((client) => client.roles.put(name, description));
    context.result({ role: name, created }, () => `${created ? "created" : "changed"} the role ${name}\n`);
  });
}

function addRoleList(role: Command, runtime: Runtime): void {
  const command = role.command("list").alias("ls").description("list the roles of the broker");
  examples(command, [["millrace role list", "the built-in ones first"]]);
  action(command, runtime, async (context) => {
    const roles = await context.withClient((client) => client.roles.list());
    context.result(roles, () => {
      const rows = roles.map(({ name, description, isBuiltIn }) => [name, isBuiltIn ? "yes" : "no", description]);
      return context.table(["ROLE", "BUILT IN", "DESCRIPTION"], rows);
    });
  });
}

function addRoleDelete(role: Command, runtime: Runtime): void {
  const command = role.command("delete").alias("rm").description("take a role away").argument("<role>");
  examples(command, [["millrace role delete operators", "from its users too, and the rules about it"]]);
  action(command, runtime, async (context, [name = ""]) => {
    const deleted = await context.withClient((client) => client.roles.delete(name));
    if (!deleted) {
      throw new CliError("role_not_found", `there is no role "${name}"`, "see millrace role list", EXIT.notFound);
    }
    context.result({ role: name }, () => `deleted the role ${name}\n`);
  });
}
