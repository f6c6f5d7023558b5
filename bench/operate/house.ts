import { join } from "node:path";
import type { House, Measure } from "../limits/stage.ts";
import { FULL, QUICK, type Sizes } from "./sizes.ts";

/** What the suite's measurements have in common. */

export const HOUSE: House<Sizes> = {
  name: "operate",
  programs: join(import.meta.dir, "programs"),
  full: FULL,
  quick: QUICK,
};

export type OperateMeasure = Measure<Sizes>;
