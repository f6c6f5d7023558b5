/** Draws a picture of bindings: things in columns, lines with what they ask for. */
import type { JSX } from "preact";
import { linkTo } from "../core/router.ts";
import type { Picture, PictureEdge, PictureNode } from "../pages/exchange-picture.ts";

const COLUMN_PX = 330;
const ROW_PX = 46;
const NODE_WIDTH_PX = 196;
const NODE_HEIGHT_PX = 30;
const MARGIN_PX = 8;
const NAME_LETTERS = 18;
const LABEL_LETTERS = 18;

interface PictureProps {
  readonly space: string;
  readonly picture: Picture;
  /** Ids of what a message would reach; null where none was tried. */
  readonly reached: ReadonlySet<string> | null;
}

export function BindingsPicture({ space, picture, reached }: PictureProps): JSX.Element {
  const { nodes, edges, columns, rows } = picture;
  const width = (columns - 1) * COLUMN_PX + NODE_WIDTH_PX + 2 * MARGIN_PX;
  const height = rows * ROW_PX + 2 * MARGIN_PX;
  const topOf = columnTops(picture);
  const isReached = ({ from, to }: PictureEdge): boolean => reached?.has(from.id) === true && reached.has(to.id);
  return (
    <div class="picture" tabIndex={0} role="region" aria-label="Picture of the bindings">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label="Bindings">
        {edges.map((edge) => (
          <Edge
            key={`${edge.from.id} ${edge.to.id}`}
            edge={edge}
            topOf={topOf}
            state={stateOf(reached, isReached(edge))}
          />
        ))}
        {nodes.map((node) => (
          <Node
            key={node.id}
            node={node}
            space={space}
            topOf={topOf}
            state={stateOf(reached, reached?.has(node.id) === true)}
          />
        ))}
      </svg>
    </div>
  );
}

function stateOf(reached: ReadonlySet<string> | null, isReached: boolean): string {
  if (reached === null) return "";
  return isReached ? "reached" : "missed";
}

type TopOf = (node: PictureNode) => number;

/** Shorter columns stand in the middle of the longest. */
function columnTops({ nodes, rows }: Picture): TopOf {
  const counts = new Map<number, number>();
  for (const { column } of nodes) counts.set(column, (counts.get(column) ?? 0) + 1);
  return ({ column, row }) => MARGIN_PX + (row + (rows - (counts.get(column) ?? 0)) / 2) * ROW_PX;
}

function leftOf({ column }: PictureNode): number {
  return MARGIN_PX + column * COLUMN_PX;
}

function Edge({ edge, topOf, state }: { edge: PictureEdge; topOf: TopOf; state: string }): JSX.Element {
  const { from, to, labels } = edge;
  const [x1, y1] = [leftOf(from) + NODE_WIDTH_PX, topOf(from) + NODE_HEIGHT_PX / 2];
  const [x2, y2] = [leftOf(to), topOf(to) + NODE_HEIGHT_PX / 2];
  const bend = Math.max(40, Math.abs(x2 - x1) / 2);
  const [first = "", ...rest] = labels;
  const text = cut(first, LABEL_LETTERS) + (rest.length > 0 ? ` +${rest.length}` : "");
  return (
    <g class={`edge ${state}`}>
      <path d={`M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`} />
      {text !== "" && (
        <text x={x2 - 8} y={y2 - 5} text-anchor="end">
          <title>{labels.join("\n")}</title>
          {text}
        </text>
      )}
    </g>
  );
}

interface NodeProps {
  readonly node: PictureNode;
  readonly space: string;
  readonly topOf: TopOf;
  readonly state: string;
}

function Node({ node, space, topOf, state }: NodeProps): JSX.Element {
  const { kind, name } = node;
  const [x, y] = [leftOf(node), topOf(node)];
  const drawn = (
    <>
      <rect
        x={x}
        y={y}
        width={NODE_WIDTH_PX}
        height={NODE_HEIGHT_PX}
        rx={kind === "exchange" ? NODE_HEIGHT_PX / 2 : 5}
      />
      <text x={x + 14} y={y + NODE_HEIGHT_PX / 2 + 4}>
        {cut(name, NAME_LETTERS)}
      </text>
      {(kind === "queue" || kind === "topic") && (
        <text class="kind" x={x + NODE_WIDTH_PX - 10} y={y + NODE_HEIGHT_PX / 2 + 4} text-anchor="end">
          {kind}
        </text>
      )}
    </>
  );
  if (kind === "more") return <g class={`node more ${state}`}>{drawn}</g>;
  return (
    <a class={`node ${kind} ${state}`} href={linkTo([`${kind}s`, space, name])}>
      {drawn}
    </a>
  );
}

function cut(text: string, letters: number): string {
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`;
}
