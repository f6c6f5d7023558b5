export { allowAll, type Authorize, type Operation, type Resource } from "./authorize.ts";
export { anonymous, type Principal } from "./principal.ts";
export { type Credential, decoyCredential, isPassword, newCredentials, ScramServer } from "./scram.ts";
export {
  Authenticator,
  type AuthenticatorOptions,
  deriveKey,
  type Identity,
  isLoopbackAddress,
  type KnownUser,
  type Peer,
  type Refusal,
  type ScramExchange,
} from "./authenticator.ts";
export { HttpLogins, type LoggedIn, type WhoAmI } from "./http.ts";
export { isOriginAllowed, type OriginRules } from "./origins.ts";
export { type TokenSettings, Tokens } from "./tokens.ts";
export { COOKIE, CSRF_HEADER } from "./web-sessions.ts";
