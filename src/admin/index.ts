export { type AdminHandler, type AdminOptions, adminHandler } from "./admin.ts";
export { errorResponse, plainError } from "./answers.ts";
export { type ApiHandler, apiHandler, type ApiOptions } from "./api/index.ts";
export { type LogInHandler, logInHandler, type LogInOptions } from "./log-in.ts";
export type { Phase } from "./phase.ts";
export { type RegistryHandler, registryHandler, type RegistryOptions } from "./registry/index.ts";
