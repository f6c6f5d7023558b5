export { allowAll, type Authorize, type Operation, type Resource } from "./authorize.ts";
export { anonymous, type Principal } from "./principal.ts";
export { type Credential, decoyCredential, isPassword, newCredentials, ScramServer } from "./scram.ts";
