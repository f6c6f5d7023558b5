export { type AdminHandler, type AdminOptions, adminHandler } from "./admin.ts";
export { errorResponse, plainError } from "./answers.ts";
export { API_PATH, type ApiHandler, apiHandler, type ApiOptions } from "./api/index.ts";
export { API_BODY_BYTES_MAX } from "./api/request.ts";
export { type LogInHandler, logInHandler, type LogInOptions } from "./log-in.ts";
export type { Phase } from "./phase.ts";
export { type RegistryHandler, registryHandler, type RegistryOptions } from "./registry/index.ts";
