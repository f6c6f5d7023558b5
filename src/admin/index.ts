export { type AdminHandler, type AdminOptions, adminHandler, errorResponse, type Phase, plainError } from "./admin.ts";
export { type RegistryHandler, registryHandler, type RegistryOptions } from "./registry/index.ts";
