/** What the greedy publisher's namespace may publish, by the second; the crowd's program and those who check it share it. */
export const GREEDY_QUOTA_BYTES = 1_000_000;
