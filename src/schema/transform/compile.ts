import { type Format, detect } from "./detect.ts";
import type { AvroDefinition, AvroReader, Choose, FunctionDefinition, StepDefinition } from "./definition.ts";
import { failed, reasonOf } from "./fault.ts";
import { mapJson } from "./map.ts";
import { type Headers, type HeaderValue, type Target, TransformMessage } from "./message.ts";
import type { Outcome, Step } from "./step.ts";
import { jsonToXml, xmlToJson } from "./xml.ts";

/** Steps as one function over a message. Definitions are compiled once, when a worker begins. */

/** What steps need that is not in the definition: it is found once, before the first message. */
export interface StepSources {
  function(definition: FunctionDefinition): Promise<Step>;
  jsonToAvro(definition: AvroDefinition): Promise<Step>;
  avroToJson(definition: AvroReader): Promise<Step>;
}

/** Messages that one message becomes; a promise only where a step is asynchronous. */
export type Transform = (message: TransformMessage) => Outcome | Promise<Outcome>;

/** The most messages that one becomes, at any step. */
export const OUTPUTS_MAX = 10_000;
const NOTHING: readonly TransformMessage[] = [];

/**
 * Compiles the steps of a definition that `parseDefinition` has checked.
 *
 * What the result throws is about the one message: `transform_failed`, which names the step, its number and the reason.
 *
 * @throws what `sources` throws: a file that does not load, a subject that is not there.
 */
export async function compileSteps(definitions: readonly StepDefinition[], sources: StepSources): Promise<Transform> {
  const steps: Step[] = [];
  for (const [index, definition] of definitions.entries()) {
    const [name = ""] = Object.keys(definition);
    steps.push(named(await compileStep(definition, sources), `step ${index + 1} (${name})`));
  }
  return (message) => run(steps, 0, message);
}

async function compileStep(step: StepDefinition, sources: StepSources): Promise<Step> {
  if ("xml_to_json" in step) return xmlToJson(step.xml_to_json);
  if ("json_to_xml" in step) return jsonToXml(step.json_to_xml);
  if ("map" in step) return mapJson(step.map);
  if ("set_headers" in step) return settingHeaders(step.set_headers);
  if ("route" in step) return routing(step.route);
  if ("choose" in step) return choosing(step.choose, sources);
  if ("json_to_avro" in step) return sources.jsonToAvro(step.json_to_avro);
  return "avro_to_json" in step ? sources.avroToJson(step.avro_to_json) : sources.function(step.function);
}

function run(steps: readonly Step[], from: number, message: TransformMessage): Outcome | Promise<Outcome> {
  let current = message;
  for (let at = from; at < steps.length; at += 1) {
    const outcome = (steps[at] as Step)(current);
    if (!(outcome instanceof TransformMessage)) return goOn(steps, at + 1, outcome);
    current = outcome;
  }
  return current;
}

/** Behind a step that made no message, several, or a promise. */
function goOn(steps: readonly Step[], from: number, outcome: Outcome | Promise<Outcome>): Outcome | Promise<Outcome> {
  if (outcome === null) return null;
  if (outcome instanceof Promise) return outcome.then((made) => goOn(steps, from, made));
  if (outcome instanceof TransformMessage) return run(steps, from, outcome);
  if (outcome.length > OUTPUTS_MAX) throw failed(`one message became ${outcome.length}, more than ${OUTPUTS_MAX}`);
  return from === steps.length ? outcome : goOnWithAll(steps, from, outcome);
}

function goOnWithAll(
  steps: readonly Step[],
  from: number,
  messages: readonly TransformMessage[],
): Outcome | Promise<Outcome> {
  const outcomes = messages.map((message) => run(steps, from, message));
  if (outcomes.some((outcome) => outcome instanceof Promise)) return Promise.all(outcomes).then(flattened);
  return flattened(outcomes as Outcome[]);
}

function flattened(outcomes: readonly Outcome[]): readonly TransformMessage[] {
  const all = outcomes.flatMap(messagesOf);
  if (all.length > OUTPUTS_MAX) throw failed(`one message became ${all.length}, more than ${OUTPUTS_MAX}`);
  return all;
}

/** An outcome as a list. */
export function messagesOf(outcome: Outcome): readonly TransformMessage[] {
  if (outcome === null) return NOTHING;
  return outcome instanceof TransformMessage ? [outcome] : outcome;
}

/** The step, with its name and number before what it throws. */
function named(step: Step, name: string): Step {
  const wrapped = (error: unknown): never => {
    throw failed(`${name}: ${reasonOf(error)}`, { step: name });
  };
  return (message) => {
    try {
      const outcome = step(message);
      return outcome instanceof Promise ? outcome.catch(wrapped) : outcome;
    } catch (error) {
      return wrapped(error);
    }
  };
}

function settingHeaders(headers: Readonly<Record<string, HeaderValue>>): Step {
  const entries = Object.entries(headers);
  return (message) => {
    const changed: Record<string, HeaderValue> = { ...message.headers };
    for (const [name, value] of entries) {
      if (value === null) delete changed[name];
      else changed[name] = value;
    }
    return message.with({ headers: changed as Headers });
  };
}

function routing(to: Target): Step {
  return (message) => message.with({ to });
}

async function choosing(choose: Choose, sources: StepSources): Promise<Step> {
  const branches = new Map<Format | "otherwise", Transform>();
  for (const [format, steps] of Object.entries(choose)) {
    branches.set(format as Format, await compileSteps(steps, sources));
  }
  return (message) => {
    const format = detect(message);
    const branch = branches.get(format) ?? branches.get("otherwise");
    if (branch === undefined) throw failed(`the value is ${format}, for which there are no steps`);
    return branch(message);
  };
}
