/** Millrace inside a Bun program: `import { Broker } from "millrace"`. */
export { MillraceError } from "../errors/index.ts";
export { Broker, type BrokerOptions } from "./broker.ts";
