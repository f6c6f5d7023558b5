import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isLatency, type Peer, type Tool, type Work } from "./peer.ts";
import { type Bench, freshFolder, serve, type Served, ServedBroker } from "./serving.ts";
import { freePorts } from "./shell.ts";

/** Mosquitto: MQTT 3.1.1, QoS 0. It has no log, so only its fan-out and its latency are measured. */

class RunningMosquitto extends ServedBroker {
  constructor(bench: Bench, served: Served) {
    super("mosquitto", bench, served);
  }

  async prepare(): Promise<void> {
    // It stores nothing that could be prepared.
  }

  private records(sizeBytes: number): number {
    return (sizeBytes <= 100 ? 1_000_000 : 600_000) / this.bench.divisor;
  }

  tools(work: Work): readonly Tool[] {
    const { name, sizeBytes: size } = work;
    if (name === "fanout1" || name === "fanout10") {
      const subscribers = name === "fanout1" ? 1 : 10;
      const flags = { size, subscribers, records: this.records(size) / (subscribers === 1 ? 1 : 5) };
      return [{ name: "driver", counts: "QoS 0, nothing stored", run: () => this.load("fanout", flags) }];
    }
    if (!isLatency(name) || name.startsWith("stored")) return [];
    const flags = this.bench.driver.latencyFlags(work);
    return [{ name: "driver", counts: "QoS 0, open loop, nothing stored", run: () => this.load("latency", flags) }];
  }
}

function settings(port: number): string {
  return `listener ${port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
set_tcp_nodelay true
log_type error
user root
`;
}

export function mosquittoPeer(binary: string, version: string, bench: Bench): Peer {
  return {
    name: "mosquitto",
    version,
    modes: { fast: "QoS 0, no persistence" },
    async start(mode) {
      const dataDir = await freshFolder(bench, `mosquitto-${mode}`);
      const [port] = (await freePorts(1)) as [number];
      const file = join(dataDir, "mosquitto.conf");
      await writeFile(file, settings(port));
      const command = [binary, "-c", file];
      const address = `127.0.0.1:${port}`;
      return new RunningMosquitto(bench, await serve(bench, { command, protocol: "mqtt", address, dataDir }));
    },
  };
}
