import { FIGURE_NAMES, suite } from "../../bench/operate/index.ts";
import { describeQuickSuite } from "./quick-suite.ts";

describeQuickSuite("operate", {
  suite,
  names: FIGURE_NAMES,
  goals: {
    abuse_p99_ratio: { atMost: 3 },
    permissions_vs_none: { atLeast: 0.98 },
    tls_vs_plain: { atLeast: 0.5 },
    dashboard_kb: { atMost: 150 },
    dashboard_interactive_s: { atMost: 1 },
  },
});
