/** Compatibility and mode: of all, of a namespace (`:.namespace:` in the place of a subject), of a subject. */
import type { Schemas } from "../../broker/index.ts";
import {
  CODE,
  COMPATIBILITIES,
  COMPATIBILITY_DEFAULT,
  fault,
  GLOBAL,
  MODE_DEFAULT,
  MODES,
  namespaceScope,
  type SubjectConfig,
} from "../../schema/index.ts";
import { type Fields, flag, type RegistryRequest, scopeNamed } from "./request.ts";
import type { Method, Route } from "./route.ts";

/** Settings of Confluent's that this registry does not have. */
const NOT_THERE = [
  "alias",
  "compatibilityGroup",
  "defaultMetadata",
  "overrideMetadata",
  "defaultRuleSet",
  "overrideRuleSet",
  "validateFields",
];

/** The same route for all and for one scope. */
function both(
  method: Method,
  path: string,
  run: (schemas: Schemas, request: RegistryRequest, scope: string) => unknown,
): Route[] {
  const permission = method === "GET" ? "schema.read" : "schema.configure";
  return [
    {
      method,
      path,
      permission,
      touches: "scope",
      run: (schemas, request) => run(schemas, request, namespaceScope(request.namespace)),
    },
    {
      method,
      path: `${path}/*`,
      permission,
      touches: "scope",
      run: (schemas, request) => run(schemas, request, scopeNamed(request.words[0] ?? "", request.namespace)),
    },
  ];
}

function configOf(body: Fields): SubjectConfig {
  const there = NOT_THERE.find((name) => body[name] !== undefined && body[name] !== null);
  if (there !== undefined) {
    throw fault("schema_unsupported", CODE.notPermitted, `this registry does not have the setting "${there}"`);
  }
  const { compatibility, normalize } = body;
  const level = COMPATIBILITIES.find((level) => level === String(compatibility).toUpperCase());
  const isNormalizeOnly = compatibility === undefined && typeof normalize === "boolean";
  if (level === undefined && !isNormalizeOnly) {
    throw fault(
      "invalid_argument",
      CODE.invalidCompatibility,
      `Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive`,
    );
  }
  return {
    ...(level === undefined ? {} : { compatibility: level }),
    ...(typeof normalize === "boolean" ? { normalize } : {}),
  };
}

function configBody({ compatibility, normalize }: SubjectConfig): Fields {
  return {
    compatibilityLevel: compatibility ?? COMPATIBILITY_DEFAULT,
    ...(normalize === undefined ? {} : { normalize }),
  };
}

export const settingRoutes: readonly Route[] = [
  ...both("GET", "/config", ({ state }, { query }, scope) => {
    const own = state.configAt(scope);
    if (own !== undefined) return configBody({ compatibility: state.compatibilityOf(scope), ...own });
    if (scope === GLOBAL) return configBody({});
    if (flag(query, "defaultToGlobal")) return configBody({ compatibility: state.compatibilityOf(scope) });
    throw notConfigured(CODE.configNotFound, scope, "compatibility");
  }),
  ...both("PUT", "/config", async (schemas, { body }, scope) => {
    const config = configOf(body);
    await schemas.setConfig(scope, config);
    return config;
  }),
  ...both("DELETE", "/config", async (schemas, _, scope) => ({ compatibilityLevel: await schemas.unsetConfig(scope) })),
  ...both("GET", "/mode", ({ state }, { query }, scope) => {
    const own = state.modeAt(scope) ?? (scope === GLOBAL ? MODE_DEFAULT : undefined);
    if (own !== undefined) return { mode: own };
    if (flag(query, "defaultToGlobal")) return { mode: state.modeOf(scope) };
    throw notConfigured(CODE.modeNotFound, scope, "mode");
  }),
  ...both("PUT", "/mode", async (schemas, { body, query }, scope) => {
    const mode = MODES.find((mode) => mode === String(body["mode"]).toUpperCase());
    if (mode === undefined) {
      throw fault("invalid_argument", CODE.invalidMode, `Invalid mode. Valid values are ${MODES.join(", ")}`);
    }
    await schemas.setMode(scope, mode, flag(query, "force"));
    return { mode };
  }),
  ...both("DELETE", "/mode", async (schemas, _, scope) => ({ mode: await schemas.unsetMode(scope) })),
];

function notConfigured(code: number, scope: string, what: string): Error {
  return fault("subject_not_found", code, `Subject '${scope}' does not have subject-level ${what} configured`);
}
