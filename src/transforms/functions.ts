import { realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { MillraceError } from "../errors/index.ts";
import {
  failed,
  type FunctionDefinition,
  functionStep,
  reasonOf,
  type Step,
  type TransformFunction,
} from "../schema/transform/index.ts";

/** Users' functions, from files of one folder. */

/**
 * Loads a function as a step.
 *
 * @param folder absolute path of `transformsDir`; links that lead out of it are not followed.
 * @throws transform_failed: no such file, a file that does not load, no such export.
 */
export async function loadFunction(folder: string, definition: FunctionDefinition, transform: string): Promise<Step> {
  const { file, export: name = "default", config = {} } = definition;
  const path = await pathOf(folder, file);
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    throw failed(`${file} does not load: ${reasonOf(error)}`, { file });
  }
  const run = module[name];
  if (typeof run !== "function") throw failed(`${file} exports no function ${name}`, { file });
  const log = (text: string): void => console.log(text);
  return functionStep(run as TransformFunction, { transform, config: Object.freeze({ ...config }), log });
}

async function pathOf(folder: string, file: string): Promise<string> {
  try {
    const root = await realpath(folder);
    const path = await realpath(join(root, file));
    if (path.startsWith(root + sep)) return path;
  } catch (error) {
    throw new MillraceError("transform_failed", `there is no file ${file} in ${folder} (transformsDir)`, {
      cause: error,
    });
  }
  throw failed(`${file} is a link out of ${folder} (transformsDir)`);
}
