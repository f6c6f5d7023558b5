/** Which settings of authentication and TLS go together, and what a broker needs before it serves other machines. */
import type { Config } from "./fields.ts";
import { isLoopback } from "./fields.ts";

type Exposure = Pick<
  Config,
  | "host"
  | "authentication"
  | "insecure"
  | "tlsCertFile"
  | "tlsKeyFile"
  | "tlsClientCaFile"
  | "tlsClientAuth"
  | "jwtIssuer"
  | "jwtAudience"
  | "jwtJwksFile"
  | "jwtJwksUrl"
>;

/** Lines that say what is wrong and what to do. */
export function exposureFaults(config: Exposure): string[] {
  const { host, authentication, insecure, tlsClientAuth } = config;
  const faults: string[] = [];
  if (!isLoopback(host) && authentication === "off" && !insecure) {
    faults.push(
      `host (${host}) is reachable from other machines and nobody has to log in: set authentication to required ` +
        "(with adminPasswordFile, tokens or client certificates), or insecure to true",
    );
  }
  if ((config.tlsCertFile === "") !== (config.tlsKeyFile === "")) {
    faults.push("tlsCertFile and tlsKeyFile go together: set both, or none");
  }
  if (tlsClientAuth !== "none" && (config.tlsCertFile === "" || config.tlsClientCaFile === "")) {
    faults.push(`tlsClientAuth (${tlsClientAuth}) needs tlsCertFile, tlsKeyFile and tlsClientCaFile`);
  }
  if (tlsClientAuth === "none" && config.tlsClientCaFile !== "") {
    faults.push("tlsClientCaFile is of no use while tlsClientAuth is none: set it to optional or required");
  }
  const hasKeys = config.jwtJwksFile !== "" || config.jwtJwksUrl !== "";
  if (config.jwtJwksFile !== "" && config.jwtJwksUrl !== "") {
    faults.push("jwtJwksFile and jwtJwksUrl exclude each other: set one");
  }
  if (hasKeys && (config.jwtIssuer === "" || config.jwtAudience === "")) {
    faults.push("tokens need jwtIssuer and jwtAudience: without them a token made for somebody else would be taken");
  }
  if (!hasKeys && (config.jwtIssuer !== "" || config.jwtAudience !== "")) {
    faults.push("jwtIssuer and jwtAudience are of no use without jwtJwksFile or jwtJwksUrl");
  }
  return faults;
}

/** Lines for the log about what is accepted and still dangerous. */
export function exposureWarnings({ host, authentication, tlsCertFile }: Exposure): string[] {
  if (isLoopback(host)) return [];
  const warnings: string[] = [];
  if (authentication === "off")
    warnings.push(`everybody who reaches ${host} can read and change everything (insecure)`);
  if (tlsCertFile === "") {
    warnings.push(`what goes over ${host} can be read and changed on the way: set tlsCertFile and tlsKeyFile`);
  }
  return warnings;
}
