export { type AdminHandler, type AdminOptions, adminHandler, errorResponse, type Phase, plainError } from "./admin.ts";
