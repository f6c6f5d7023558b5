/** Exchanges, bindings and queues as definitions: what may be declared, and what the core is told of it. */
export {
  bindingIdentity,
  type BindingArguments,
  type BindingRequest,
  checkBinding,
  defaultExchangeFault,
  parseBinding,
  type Target,
  type TargetKind,
} from "./binding.ts";
export { type Change, ChangeEncoder } from "./changes.ts";
export { checkDeadLetterLoop, type DeadLetterGraph } from "./dead-letters.ts";
export {
  checkSameExchange,
  DEFAULT_EXCHANGE_ID,
  DEFAULT_EXCHANGE_NAME,
  type ExchangeConfig,
  type ExchangeKind,
  parseExchangeConfig,
  parseExchangeKind,
} from "./exchange.ts";
export {
  alterQueueConfig,
  checkSameQueue,
  coreQueueConfig,
  isSameQueue,
  parseQueueConfig,
  type QueueConfig,
  shownQueueConfig,
} from "./queue-config.ts";
