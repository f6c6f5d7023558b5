/** Who may do what, on one worker: the state that the metadata log describes, changes of it, decisions, the audit log. */
import type { MetadataLog } from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { Access, type AccessState, type Audit, AuditLog, Authorizer, noAudit } from "../security/index.ts";
import type { Logger } from "../stdx/index.ts";

export interface OpenAccess {
  readonly access: Access;
  readonly authorizer: Authorizer;
  readonly audit: Audit;
}

/** @param state which the log is given to replay into. */
export function openAccess(
  state: AccessState,
  options: { log: MetadataLog; config: Config; logger: Logger; now: () => number },
): OpenAccess {
  const { log, config, logger, now } = options;
  const isOpen = config.authentication === "off";
  // Where nobody proves who it is, a line would not say who it was; a file is written if it is asked for.
  const isSilent = isOpen && config.auditFile === "";
  const audit = isSilent ? noAudit : new AuditLog({ file: config.auditFile, logger, now });
  return {
    access: new Access(state, { log, limits: config, now }),
    authorizer: new Authorizer({ state, isOpen, audit, catchUp: () => log.catchUp() }),
    audit,
  };
}
