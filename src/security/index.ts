export { allowAll, type Authorize, type Operation, type Resource } from "./authorize.ts";
export { anonymous, type Principal } from "./principal.ts";
