import { messagesOf, reasonOf, type Transform, TransformMessage } from "../schema/transform/index.ts";
import type { TrialMessage, TrialResult } from "./messages.ts";
import type { ProgressWriter } from "./progress.ts";

/** The steps over messages that nobody published: nothing is stored, and what each becomes or why it fails is the answer. */
export async function tryMessages(
  transform: Transform,
  messages: readonly TrialMessage[],
  progress: ProgressWriter,
): Promise<TrialResult> {
  const made: TrialResult["messages"][number][] = [];
  const errors: TrialResult["errors"][number][] = [];
  for (const [from, { value, key, headers }] of messages.entries()) {
    progress.begin(0, from);
    try {
      const outcome = await transform(new TransformMessage(value, key, headers));
      for (const message of messagesOf(outcome)) {
        made.push({ from, value: message.value, key: message.key, headers: message.headers, to: message.to ?? null });
      }
    } catch (error) {
      errors.push({ from, reason: reasonOf(error) });
    }
  }
  progress.end();
  return { messages: made, errors };
}
