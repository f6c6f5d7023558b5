/** Figures over time, drawn by uPlot. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { useStore } from "../core/store.ts";
import { theme } from "../core/theme.ts";

export interface Line {
  readonly name: string;
  /** A custom property of the style sheet: `--line-1`. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  readonly title: string;
  /** Seconds since 1970, ascending, one for each value of each line. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  format(value: number | null | undefined): string;
  /** Of bytes: lines stand at powers of two. */
  readonly isBytes?: boolean;
}

/** A page that was just opened shows so much time, most of it empty. */
const SECONDS_MIN = 60;
const HEIGHT_PX = 168;
const AXIS_PX = 64;
/** Room for half of the last time. */
const RIGHT_PX = 26;
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, power) => 2 ** power);
const FONT = "11px ui-sans-serif, system-ui, sans-serif";

export function Chart({ title, times, lines, format, isBytes = false }: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [pointed, setPointed] = useState<number | null>(null);
  const shownTheme = useStore(theme);
  const names = lines.map(({ name }) => name).join();
  useEffect(() => {
    const { current } = box;
    if (current === null) return undefined;
    const options = optionsFor({ lines, format, isBytes }, colourIn(current), (index) => setPointed(index ?? null));
    const made = new uPlot({ ...options, width: current.clientWidth }, dataOf(times, lines), current);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height: HEIGHT_PX }));
    observer.observe(current);
    return () => {
      observer.disconnect();
      made.destroy();
    };
    // Colours are read once, when it is made.
  }, [names, shownTheme]);
  useEffect(() => plot.current?.setData(dataOf(times, lines)), [times, lines]);
  const at = pointed ?? times.length - 1;
  const figures = lines.map((line) => ({ ...line, text: format(line.values[at]) }));
  return (
    <figure class="chart">
      <figcaption>
        <h2>{title}</h2>
        <ul>
          {figures.map(({ name, colour, text }) => (
            <li key={name}>
              <i style={{ background: `var(${colour})` }} />
              {name} <b>{text}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={box} role="img" aria-label={`${title} over the last minutes`} />
    </figure>
  );
}

/** A canvas knows no custom properties and no `light-dark()`: the style sheet's colours, as the element would have them. */
function colourIn(element: HTMLElement): (property: string) => string {
  return (property) => {
    element.style.color = `var(${property})`;
    return getComputedStyle(element).color;
  };
}

/** uPlot has no bounds where there are no samples yet. */
function timeRange(min: number | null, max: number | null): [number, number] {
  const end = max === null || max === 0 ? Date.now() / 1000 : max;
  return [Math.min(min ?? end, end - SECONDS_MIN), end];
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [[...times], ...lines.map(({ values }) => [...values])] as uPlot.AlignedData;
}

function optionsFor(
  { lines, format, isBytes }: Pick<ChartProps, "lines" | "format" | "isBytes">,
  colour: (property: string) => string,
  onPoint: (index: number | null | undefined) => void,
): Omit<uPlot.Options, "width"> {
  const axis = { stroke: colour("--muted"), font: FONT, ticks: { show: false } };
  const grid = { stroke: colour("--grid"), width: 1 };
  return {
    height: HEIGHT_PX,
    legend: { show: false },
    padding: [8, RIGHT_PX, 0, 0],
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_plot, min, max) => timeRange(min, max) },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 80, values: "{HH}:{mm}:{ss}" },
      {
        ...axis,
        grid,
        size: AXIS_PX,
        space: 34,
        ...(isBytes && { incrs: POWERS_OF_TWO }),
        values: (_plot, splits) => splits.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.name,
        stroke: colour(line.colour),
        width: 1.5,
        points: { show: false },
      })),
    ] as uPlot.Series[],
    hooks: { setCursor: [(plot: uPlot) => onPoint(plot.cursor.idx)] },
  };
}
