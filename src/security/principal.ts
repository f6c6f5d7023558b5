/** Who a session acts for. */
export interface Principal {
  /** `anonymous` until authentication fills the seam. */
  readonly name: string;
  readonly namespace: string;
}

export function anonymous(namespace: string): Principal {
  return { name: "anonymous", namespace };
}
