/** Large payloads by reference; `millrace/client/payloads`. README.md shows how. */

export { folderStore, FolderStore, type FolderStoreOptions } from "./folder-store.ts";
export {
  type LargePayloadOptions,
  LargePayloads,
  largePayloads,
  PAYLOAD_HEADER,
  type PayloadCarrier,
  type PayloadStore,
} from "./payloads.ts";
