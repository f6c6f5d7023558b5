/** A socket as systemd's, for what a service tells it. Bun has no datagram sockets in the file system; perl is part of every Debian. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../until.ts";

const LISTEN = `
use strict; use warnings; use Socket; $| = 1;
my ($path) = @ARGV;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, sockaddr_un($path)) or die "bind: $!";
print "listening\\0";
while (defined(recv($socket, my $state, 4096, 0))) { print "$state\\0"; }
`;

export class NotifyListener implements AsyncDisposable {
  readonly path: string;
  /** What was told, in order: lines such as `READY=1`, joined as they came. */
  readonly states: string[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "millrace-notify-"));
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;

  private constructor() {
    this.path = join(this.#folder, "socket");
    this.#child = Bun.spawn(["perl", "-e", LISTEN, this.path], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    void this.#read();
  }

  static async open(): Promise<NotifyListener> {
    const listener = new NotifyListener();
    await until("the socket is there", () => listener.states[0] === "listening", 30_000);
    listener.states.shift();
    return listener;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of this.#child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      const parts = text.split("\0");
      text = parts.pop() ?? "";
      this.states.push(...parts);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    rmSync(this.#folder, { recursive: true });
  }
}
