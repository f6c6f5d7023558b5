import { openEngine } from "../../src/log/native.ts";
import { commitLogSuite } from "./commit-log.ts";

commitLogSuite({
  name: "native, on disk",
  logConfig: {},
  isKept: true,
  isCompacting: true,
  isSynced: true,
  open: openEngine,
});

commitLogSuite({
  name: "native, in memory",
  logConfig: {},
  isKept: false,
  isCompacting: true,
  isSynced: false,
  open: (options) => openEngine({ ...options, dataDir: null }),
});

commitLogSuite({
  name: "native, on disk, of topics in memory",
  logConfig: { storage: "memory", durability: "memory" },
  isKept: false,
  isCompacting: false,
  isSynced: false,
  open: openEngine,
});
