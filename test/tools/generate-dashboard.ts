/** Grafana's dashboard of a broker, from a table of panels: src/metrics/grafana/millrace.json. */
import {
  type Dashboard,
  DashboardCursorSync,
  type Panel,
  type RowPanel,
  ThresholdsMode,
  VariableHide,
  VariableRefresh,
  VariableSort,
  type VariableModel,
} from "@grafana/schema";
import { PANELS, type PanelEntry, type Query } from "./dashboard-panels.ts";

/** Widths are of Grafana's 24 columns. */
const COLUMNS = 24;
const GRAPH = { width: 8, height: 8 };
const NUMBER = { width: 4, height: 4 };
const ROW_HEIGHT = 1;
/** Newer Grafanas migrate older schemas, never the other way. */
const SCHEMA_VERSION = 39;

/** The viewer chooses which Prometheus, when there are several. */
const DATASOURCE = { type: "prometheus", uid: "${datasource}" };

export function dashboard(): Dashboard {
  return {
    id: null,
    uid: "millrace",
    title: "Millrace",
    description: "A Millrace broker: traffic, latency, groups, queues, storage, balance, process.",
    tags: ["millrace"],
    timezone: "browser",
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    time: { from: "now-1h", to: "now" },
    refresh: "10s",
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    annotations: { list: [] },
    links: [],
    templating: { list: VARIABLES },
    panels: placed(PANELS),
  };
}

const VARIABLES: VariableModel[] = [
  { name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus", hide: VariableHide.dontHide },
  labelVariable("instance", "Broker", "label_values(millrace_info, instance)"),
  labelVariable("namespace", "Namespace", 'label_values(millrace_partitions{instance=~"$instance"}, namespace)'),
];

function labelVariable(name: string, label: string, query: string): VariableModel {
  return {
    name,
    label,
    type: "query",
    datasource: DATASOURCE,
    query: { query, refId: name },
    refresh: VariableRefresh.onTimeRangeChanged,
    sort: VariableSort.alphabeticalAsc,
    includeAll: true,
    multi: true,
    // An empty list of values must not ask for nothing.
    allValue: ".*",
    current: { text: "All", value: "$__all" },
  };
}

/** Rows from left to right, top to bottom; a heading takes a line of its own. */
function placed(entries: readonly PanelEntry[]): (Panel | RowPanel)[] {
  let [x, y, lineHeight] = [0, 0, 0];
  return entries.map((entry, index) => {
    const isHeading = typeof entry === "string";
    const { width: w, height: h } = isHeading
      ? { width: COLUMNS, height: ROW_HEIGHT }
      : entry.kind === "number"
        ? NUMBER
        : GRAPH;
    if (x + w > COLUMNS) [x, y, lineHeight] = [0, y + lineHeight, 0];
    const gridPos = { x, y, w, h };
    [x, lineHeight] = [x + w, Math.max(lineHeight, h)];
    const id = index + 1;
    if (isHeading) return { id, type: "row", title: entry, collapsed: false, gridPos, panels: [] };
    return { id, gridPos, title: entry.title, description: entry.description, ...viewOf(entry) };
  });
}

function viewOf({ kind, unit, queries, redFrom }: Exclude<PanelEntry, string>): Omit<Panel, "gridPos"> {
  const steps = [{ color: "green", value: null }, ...(redFrom === undefined ? [] : [{ color: "red", value: redFrom }])];
  const defaults = { unit, min: 0, thresholds: { mode: ThresholdsMode.Absolute, steps } };
  const targets = queries.map((query, index) => targetOf(query, index, kind === "number"));
  if (kind === "number") {
    const options = { reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false }, colorMode: "value" };
    return { type: "stat", datasource: DATASOURCE, targets, fieldConfig: { defaults, overrides: [] }, options };
  }
  const custom = { drawStyle: "line", lineWidth: 1, fillOpacity: 10, showPoints: "never", spanNulls: false };
  const options = {
    legend: { displayMode: "list", placement: "bottom", showLegend: true, calcs: [] },
    tooltip: { mode: "multi", sort: "desc" },
  };
  return {
    type: "timeseries",
    datasource: DATASOURCE,
    targets,
    fieldConfig: { defaults: { ...defaults, custom }, overrides: [] },
    options,
  };
}

function targetOf([expr, legendFormat]: Query, index: number, isInstant: boolean): Record<string, unknown> {
  const refId = String.fromCharCode("A".charCodeAt(0) + index);
  return { refId, datasource: DATASOURCE, expr, legendFormat, range: !isInstant, instant: isInstant };
}
