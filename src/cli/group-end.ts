import type { AssignedPartition, Client, Message } from "../client/index.ts";
import { isMillraceError } from "../errors/index.ts";

/**
 * Tells when a whole group has read a topic to the end that it had at the start. A member sees only its own partitions,
 * so what it has not read itself is looked up in the group's commits: all members of a run stop together.
 */

const POLL_MS = 250;

export class GroupEnd {
  private readonly client: Client;
  private readonly group: string;
  private readonly topic: string;
  /** Ends of the partitions that nobody is known to have read to the end. */
  private readonly open = new Map<number, number>();
  private timer: ReturnType<typeof setTimeout> | null = null;
  private isClosed = false;

  private constructor(client: Client, group: string, topic: string) {
    this.client = client;
    this.group = group;
    this.topic = topic;
  }

  /** Takes the topic's present ends. Errors: topic_not_found. */
  static async open(client: Client, group: string, topic: string): Promise<GroupEnd> {
    const end = new GroupEnd(client, group, topic);
    const [starts, ends] = [
      await client.topics.offsets(topic, "earliest"),
      await client.topics.offsets(topic, "latest"),
    ];
    const startOf = new Map(starts.map(({ partition, offset }) => [partition, offset]));
    for (const { partition, offset } of ends) {
      if (offset > (startOf.get(partition) ?? 0)) end.open.set(partition, offset);
    }
    return end;
  }

  get isReached(): boolean {
    return this.open.size === 0;
  }

  private reached(partition: number, position: number): void {
    if (position >= (this.open.get(partition) ?? Number.POSITIVE_INFINITY)) this.open.delete(partition);
  }

  /** Partitions that begin at the end have nothing to read. */
  assigned(partitions: readonly AssignedPartition[]): void {
    for (const { partition, offset } of partitions) this.reached(partition, offset);
  }

  seen(messages: readonly Message[]): void {
    for (const { partition, offset } of messages) this.reached(partition, offset + 1);
  }

  /** Calls `stop` when the group is at the end, even while this member has nothing to read. */
  watch(stop: () => void): void {
    const look = async (): Promise<void> => {
      await this.lookUp().catch(() => undefined);
      if (this.isClosed) return;
      if (this.isReached) stop();
      else this.timer = setTimeout(() => void look(), POLL_MS);
    };
    this.timer = setTimeout(() => void look(), 0);
  }

  private async lookUp(): Promise<void> {
    if (this.isReached) return;
    try {
      for (const { topic, partition, offset } of await this.client.group(this.group).offsets()) {
        if (topic === this.topic) this.reached(partition, offset);
      }
    } catch (error) {
      if (!isMillraceError(error, "group_not_found")) throw error;
    }
  }

  close(): void {
    this.isClosed = true;
    if (this.timer !== null) clearTimeout(this.timer);
  }
}
