/**
 * The bare programs: what is left of a broker when only the kernel's part stays. A listener that drops what comes and
 * says one byte when all has come; one that sends views of a mapped file to whoever connects; an echo.
 */
import { runProgram } from "../../lib/program.ts";
import { Shelf } from "../shelf.ts";

type Socket = Bun.Socket<{ at: number }>;

interface Request {
  /** What the sink waits for, on one connection. */
  readonly expectBytes?: number;
  /** The folder that the sink writes what it gets to, in files; without it, it drops it. */
  readonly store?: string;
  /** Files are deleted, the oldest first, past so many bytes. */
  readonly keepBytes?: number;
  /** The file that the sender sends from its next connection on. */
  readonly path?: string;
  readonly writeBytes?: number;
}

let expectBytes = 0;
let map = new Uint8Array(0);
let writeBytes = 0;
let store: Shelf | undefined;
const DONE = new Uint8Array(1);

const sink = Bun.listen<{ at: number }>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = { at: 0 };
    },
    data(socket, chunk) {
      store?.write(chunk);
      socket.data.at += chunk.length;
      if (socket.data.at >= expectBytes) socket.write(DONE);
    },
  },
});

function sendOn(socket: Socket): void {
  const { data } = socket;
  while (data.at < map.length) {
    const length = Math.min(writeBytes, map.length - data.at);
    const written = socket.write(map, data.at, length);
    if (written < 0) return;
    data.at += written;
    if (written < length) return;
  }
}

const sender = Bun.listen<{ at: number }>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = { at: 0 };
      sendOn(socket);
    },
    drain: sendOn,
    data() {},
  },
});

const echo = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.setNoDelay(true);
    },
    data(socket, chunk) {
      if (socket.write(chunk) !== chunk.length) throw new Error("the echo's socket is full");
    },
  },
});

/** An echo for two processes: the first connection gets what comes on the others. */
let listener: Bun.Socket | undefined;
const relay = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.setNoDelay(true);
      listener ??= socket;
    },
    data(_, chunk) {
      if (listener?.write(chunk) !== chunk.length) throw new Error("the relay's socket is full");
    },
    close(socket) {
      if (socket === listener) listener = undefined;
    },
  },
});

await runProgram({ sink: sink.port, sender: sender.port, echo: echo.port, relay: relay.port }, async (message) => {
  const request = message as Request;
  if (request.expectBytes !== undefined) {
    expectBytes = request.expectBytes;
    await store?.clear();
    const { store: folder, keepBytes = Number.POSITIVE_INFINITY } = request;
    store = folder === undefined ? undefined : new Shelf(folder, false, keepBytes);
  }
  if (request.path !== undefined) {
    map = Bun.mmap(request.path, { shared: true });
    writeBytes = request.writeBytes ?? 256 * 1024;
  }
  return { mappedBytes: map.length };
});
