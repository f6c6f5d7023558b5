import { FIGURE_NAMES, suite } from "../../bench/schemas/index.ts";
import { describeQuickSuite } from "./quick-suite.ts";

describeQuickSuite("schemas", {
  suite,
  names: FIGURE_NAMES,
  goals: {
    full_records: { atLeast: 1_000_000 },
    id_vs_plain: { atLeast: 0.95 },
    lookup_p99_ms: { atMost: 1 },
    replay_s: { atMost: 1 },
    transform_records: { atLeast: 200_000 },
  },
});
