import { Command, CommanderError } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { type Runtime } from "./command.ts";
import { addBackupCommands } from "./backup/index.ts";
import { addConfigCommand } from "./config.ts";
import { addConnectionCommands } from "./connection.ts";
import { addConsumeCommand } from "./consume.ts";
import { Context, type GlobalOptions } from "./context.ts";
import { addDefinitionsCommands } from "./definitions.ts";
import { addDoctorCommand } from "./doctor.ts";
import { addExplainCommand } from "./explain.ts";
import { addExchangeCommands } from "./exchange.ts";
import { EXIT, failureOf, usageError } from "./exit.ts";
import { addGroupCommands } from "./group.ts";
import { addLogCommands } from "./log-inspect.ts";
import { type Output, standardError, standardOutput } from "./output.ts";
import { addProduceCommand } from "./produce.ts";
import { addPublishCommands } from "./publish.ts";
import { addQueueCommands } from "./queue.ts";
import { addSchemaCommands } from "./schema.ts";
import { addTopCommand } from "./top.ts";
import { addTopicCommands } from "./topic.ts";
import { addNamespaceCommands } from "./namespace.ts";
import { addPermissionCommands } from "./permission.ts";
import { addQuotaCommands } from "./quota.ts";
import { addScheduleCommands } from "./schedule.ts";
import { addTransactionCommands } from "./transaction.ts";
import { addTransformCommands } from "./transform.ts";
import { addUserCommands } from "./user.ts";

/** The command line `millrace`, without `serve` and `bench`, which src/main.ts hands to the server and to bench/load. */

const EXIT_CODES = `
Exit codes:
  0    done
  1    the operation failed, log inspect found damage, or a check of doctor failed
  2    the command line is wrong
  3    no connection to the broker
  4    what the command names does not exist
  130  interrupted before the work was complete

Environment:
  MILLRACE_URL        address of the broker (--url)
  MILLRACE_PORT       port of the broker on this machine, where no address is given
  MILLRACE_NAMESPACE  namespace (--namespace)
  MILLRACE_LOGIN, MILLRACE_LOGIN_PASSWORD_FILE, MILLRACE_TOKEN_FILE,
  MILLRACE_TLS_CA, MILLRACE_TLS_CERT, MILLRACE_TLS_KEY
                      credentials and certificates (--login, --token-file, --tls-ca and so on)
  NO_COLOR            no colours
`;

/**
 * Runs a command.
 *
 * @param argv the words behind the program's name
 * @returns the exit code; everything is written out by then
 */
export async function run(argv: string[]): Promise<number> {
  const out = standardOutput();
  const err = standardError();
  const open = (options: GlobalOptions): Context => new Context(out, err, process.env, options);
  const runtime: Runtime = { open, exit: EXIT.ok };
  try {
    await execute(argv, runtime, out, err);
    await out.flush();
  } catch (error) {
    await out.flush().catch(() => undefined);
    runtime.exit = fail(error, open({ json: argv.includes("--json") }));
  }
  await err.flush().catch(() => undefined);
  return runtime.exit;
}

function fail(error: unknown, context: Context): number {
  const failure = failureOf(error);
  context.fail(failure);
  // What nobody foresaw is a fault of ours, and whoever repairs it needs the place.
  if (failure.name === "internal" && error instanceof Error) context.err.line(error.stack ?? "");
  return failure.exit;
}

async function execute(argv: string[], runtime: Runtime, out: Output, err: Output): Promise<void> {
  const program = build(runtime, out, err);
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    // Help that was shown because a command is missing.
    if (error.code === "commander.help") {
      runtime.exit = EXIT.usage;
      return;
    }
    throw usageError(error.message.replace(/^error: /, ""), `see ${commandOf(program, argv)} --help`);
  }
}

/** The command that the words lead to, as it is typed. */
function commandOf(program: Command, argv: readonly string[]): string {
  const [word, ...rest] = argv;
  const command = program.commands.find((each) => each.name() === word || each.aliases().includes(word ?? ""));
  return command === undefined ? program.name() : `${program.name()} ${commandOf(command, rest)}`;
}

/** The whole command tree. */
export function build(runtime: Runtime, out: Output, err: Output): Command {
  const program = new Command("millrace")
    .description("Millrace, a message broker: event streams over one log")
    .version(manifest.version, "-V, --version")
    .option("--url <url>", "address of the broker, such as millrace://127.0.0.1:7400 or ws://127.0.0.1:7480/ws")
    .option("--namespace <name>", "namespace of topics, queues, exchanges and groups")
    .option("--login <user>", "log in as this user; the password is asked for")
    .option("--login-password-file <file>", "read the password from a file")
    .option("--token-file <file>", "log in by the JSON Web Token in a file")
    .option("--tls-ca <file>", "who signs the broker's certificate (PEM), for millraces:// and wss://")
    .option("--tls-cert <file>", "own certificate (PEM), shown to the broker; with --tls-key")
    .option("--tls-key <file>", "key of --tls-cert (PEM)")
    .option("--timeout <duration>", "how long to wait for the broker to answer", "10s")
    .option("--json", "print JSON, errors too")
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void out.write(text),
      writeErr: (text) => void err.write(text),
      outputError: () => undefined,
    })
    .addHelpText("after", EXIT_CODES);
  program
    .command("serve")
    .description("run a broker here; its flags are the settings that `millrace config` lists")
    .allowUnknownOption()
    .allowExcessArguments();
  program
    .command("bench")
    .description("put load on a running broker and measure it: `millrace bench --help`")
    .allowUnknownOption()
    .allowExcessArguments();
  addTopicCommands(program, runtime);
  addProduceCommand(program, runtime);
  addConsumeCommand(program, runtime);
  addGroupCommands(program, runtime);
  addExchangeCommands(program, runtime);
  addQueueCommands(program, runtime);
  addPublishCommands(program, runtime);
  addTransactionCommands(program, runtime);
  addConnectionCommands(program, runtime);
  addSchemaCommands(program, runtime);
  addTransformCommands(program, runtime);
  addScheduleCommands(program, runtime);
  addNamespaceCommands(program, runtime);
  addQuotaCommands(program, runtime);
  addExplainCommand(program, runtime);
  addUserCommands(program, runtime);
  addPermissionCommands(program, runtime);
  addBackupCommands(program, runtime);
  addDefinitionsCommands(program, runtime);
  addLogCommands(program, runtime);
  addConfigCommand(program, runtime);
  addDoctorCommand(program, runtime);
  addTopCommand(program, runtime);
  return program;
}
