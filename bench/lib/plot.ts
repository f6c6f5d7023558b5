import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { type EChartsCoreOption, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Histogram } from "./histogram.ts";

/** Plots as SVG text, drawn by echarts without a document. */

use([LineChart, GridComponent, TitleComponent, LegendComponent, SVGRenderer]);

const WIDTH = 900;
const HEIGHT = 420;
const NINES = 5;
const STEPS_PER_NINE = 20;

function render(option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  try {
    chart.setOption({ animation: false, backgroundColor: "#fff", ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

/** The title, and below it the names of the curves. */
const headOf = (text: string): EChartsCoreOption => ({
  title: { text, left: "center", top: 4, textStyle: { fontSize: 14 } },
  legend: { top: 32 },
});

const percentLabel = (nines: number): string =>
  nines === 0 ? "0 %" : `${Number((100 * (1 - 10 ** -nines)).toFixed(Math.max(0, nines - 2)))} %`;

/** Latency in ms (logarithmic) by percentile; the axis has as much room for each further nine as for the one before. */
export function percentilesSvg(title: string, histograms: readonly (readonly [string, Histogram])[]): string {
  const series = histograms
    .filter(([, histogram]) => histogram.count > 0)
    .map(([name, histogram]) => {
      // Percentiles finer than the count has values all show the maximum.
      const most = Math.min(NINES, Math.log10(histogram.count));
      const data: [number, number][] = [];
      for (let step = 0; step / STEPS_PER_NINE <= most; step += 1) {
        const nines = step / STEPS_PER_NINE;
        const ms = histogram.percentile(100 * (1 - 10 ** -nines)) / 1e3;
        data.push([nines, Math.max(ms, 1e-3)]);
      }
      return { name, type: "line", showSymbol: false, data };
    });
  return render({
    ...headOf(title),
    grid: { left: 80, right: 30, top: 64, bottom: 56 },
    xAxis: {
      type: "value",
      name: "percentile",
      nameLocation: "middle",
      nameGap: 32,
      min: 0,
      max: NINES,
      interval: 1,
      axisLabel: { formatter: percentLabel },
    },
    yAxis: { type: "log", name: "ms" },
    series,
  });
}

export interface RateSeries {
  readonly name: string;
  /** Events in each interval. */
  readonly counts: readonly number[];
  /** How long an interval is. */
  readonly intervalMs: number;
}

/** Messages per second over the seconds of the run. */
export function rateSvg(title: string, list: readonly RateSeries[]): string {
  return render({
    ...headOf(title),
    grid: { left: 100, right: 30, top: 64, bottom: 56 },
    xAxis: { type: "value", name: "s", nameLocation: "middle", nameGap: 32, min: 0 },
    yAxis: { type: "value", name: "messages/s", min: 0 },
    series: list.map(({ name, counts, intervalMs }) => ({
      name,
      type: "line",
      showSymbol: false,
      data: counts.map((count, at) => [((at + 0.5) * intervalMs) / 1e3, (count * 1e3) / intervalMs]),
    })),
  });
}
