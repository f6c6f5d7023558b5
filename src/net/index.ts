export { ConnectionCount } from "./connection-count.ts";
export { Connection, type ConnectionHandler } from "./connection.ts";
export { listenTcp, type TcpListener } from "./tcp.ts";
export { httpTls, readTls, type TlsFiles, type TlsMaterial } from "./tls.ts";
export type { Peer, Transport } from "./transport.ts";
export { type WebSocketState, webSocketHandlers } from "./websocket.ts";
export { type DataPlane, WorkerLoop } from "./worker-loop.ts";
