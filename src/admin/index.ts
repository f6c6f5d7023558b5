export { type AdminHandler, type AdminOptions, adminHandler, errorResponse, plainError } from "./admin.ts";
export type { Phase } from "./phase.ts";
export { type RegistryHandler, registryHandler, type RegistryOptions } from "./registry/index.ts";
