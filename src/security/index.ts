export {
  Access,
  type AccessLimits,
  type AccessLog,
  BUILT_IN_ROLES,
  type UserRequest,
  type UserSummary,
} from "./access.ts";
export {
  type AccessRecord,
  AccessState,
  type Role,
  roleRecord,
  ruleRecord,
  type User,
  userRecord,
} from "./access-state.ts";
export { type Audit, AuditLog, noAudit } from "./audit.ts";
export { Authorizer } from "./authorizer.ts";
export { parseCredential } from "./credentials.ts";
export { Grants } from "./grants.ts";
export { isAct, type Need, needOf, type Operation, OPERATIONS, type Right, RIGHTS } from "./operations.ts";
export { anonymous, type Principal } from "./principal.ts";
export {
  ADMINISTRATOR,
  decide,
  INBOX_PREFIX,
  MATCHES,
  MONITORING,
  parseRule,
  type Resource,
  RESOURCE_KINDS,
  type ResourceKind,
  type ResourceRule,
  type Rule,
  type Subject,
  type Verdict,
} from "./rules.ts";
export { type Salter, saltPatiently } from "./salt.ts";
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
export { isScramMechanism, type ScramMechanism } from "../stdx/index.ts";
export { HttpLogins, type LoggedIn, type WhoAmI } from "./http.ts";
export { isOriginAllowed, type OriginRules } from "./origins.ts";
export { type TokenSettings, Tokens } from "./tokens.ts";
export { COOKIE, CSRF_HEADER } from "./web-sessions.ts";
