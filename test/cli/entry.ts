/** The command line as src/main.ts runs it, without loading the server. */
import { run } from "../../src/cli/index.ts";

process.exit(await run(process.argv.slice(2)));
