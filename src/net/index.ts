export { ConnectionCount } from "./connection-count.ts";
export { Connection, type ConnectionHandler } from "./connection.ts";
export { listenTcp, type TcpListener } from "./tcp.ts";
export type { Transport } from "./transport.ts";
export { type WebSocketState, webSocketHandlers } from "./websocket.ts";
export { type DataPlane, WorkerLoop } from "./worker-loop.ts";
