/** Rows and columns, sorted on request. Of a long list only the rows in sight are drawn. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

export interface Column<T> {
  readonly title: string;
  cell(row: T): ComponentChildren;
  /** What the rows are sorted by; without it the column cannot be. */
  sort?(row: T): string | number;
  /** Figures stand at the right. */
  readonly isFigure?: boolean;
  /** A width of CSS; columns without one share what is left. */
  readonly width?: string;
  /** Narrow screens leave it out. */
  readonly isWide?: boolean;
}

interface TableProps<T> {
  /** What the rows are, for those who cannot see. */
  readonly label: string;
  readonly rows: readonly T[];
  readonly columns: readonly Column<T>[];
  keyOf(row: T): string;
  /** Where the row leads; its first cell is that link, and a click anywhere on the row follows it. */
  href?(row: T): string;
  readonly empty: ComponentChildren;
  /** Takes the height that is left on the page and scrolls in it. */
  readonly isTall?: boolean;
}

interface Order {
  readonly column: number;
  readonly isDescending: boolean;
}

/** As the style sheet has it: `--row`. */
const ROW_PX = 34;
const OVERSCAN_ROWS = 12;
/** Shorter tables are drawn whole. */
const WHOLE_ROWS_MAX = 80;

export function Table<T>(props: TableProps<T>): JSX.Element {
  const { label, columns, empty, isTall = false } = props;
  const [order, setOrder] = useState<Order | null>(null);
  const rows = useMemo(() => sorted(props.rows, columns, order), [props.rows, columns, order]);
  const box = useRef<HTMLDivElement>(null);
  const { first, last, follow } = useWindow(box, rows.length);
  const move = useArrows(box, rows.length);
  const reorder = (next: Order | null): void => {
    setOrder(next);
    box.current?.scrollTo(0, 0);
  };
  if (props.rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    <div
      class={`table-box ${isTall ? "tall" : ""}`}
      ref={box}
      tabIndex={0}
      role="region"
      aria-label={label}
      onScroll={follow}
      onKeyDown={move}
    >
      <table aria-rowcount={rows.length + 1}>
        <colgroup>
          {columns.map((column) => (
            <col key={column.title} class={column.isWide ? "wide" : ""} style={{ width: column.width ?? "auto" }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map((column, index) => (
              <Heading key={column.title} column={column} index={index} order={order} onOrder={reorder} />
            ))}
          </tr>
        </thead>
        <tbody>
          <Gap rows={first} columns={columns.length} />
          {rows.slice(first, last).map((row, index) => (
            <Row key={props.keyOf(row)} {...props} row={row} index={first + index} />
          ))}
          <Gap rows={rows.length - last} columns={columns.length} />
        </tbody>
      </table>
    </div>
  );
}

/** Which rows are in sight, and some around them. */
function useWindow(box: { current: HTMLDivElement | null }, count: number) {
  const [at, setAt] = useState({ top: 0, height: 800 });
  const follow = (): void => {
    const { current } = box;
    if (current === null || count <= WHOLE_ROWS_MAX) return;
    const top = Math.floor(current.scrollTop / ROW_PX / OVERSCAN_ROWS) * OVERSCAN_ROWS;
    const height = current.clientHeight;
    if (top !== at.top || height !== at.height) setAt({ top, height });
  };
  useEffect(() => {
    follow();
    if (box.current === null) return undefined;
    const observer = new ResizeObserver(follow);
    observer.observe(box.current);
    return () => observer.disconnect();
  });
  if (count <= WHOLE_ROWS_MAX) return { first: 0, last: count, follow };
  const seen = Math.ceil(at.height / ROW_PX) + 2 * OVERSCAN_ROWS;
  const first = Math.max(0, Math.min(at.top - OVERSCAN_ROWS, count - seen));
  return { first, last: Math.min(count, first + seen + OVERSCAN_ROWS), follow };
}

/** Stands for rows that are not drawn. */
function Gap({ rows, columns }: { rows: number; columns: number }): JSX.Element | null {
  if (rows <= 0) return null;
  return (
    <tr class="gap" aria-hidden="true">
      <td colSpan={columns} style={{ height: `${rows * ROW_PX}px` }} />
    </tr>
  );
}

function Row<T>({ row, index, columns, href }: TableProps<T> & { row: T; index: number }): JSX.Element {
  const target = href?.(row);
  const open = (event: MouseEvent): void => {
    const isOwn = event.target instanceof Element && event.target.closest("a, button, input, select") !== null;
    if (target !== undefined && !isOwn && getSelection()?.isCollapsed !== false) location.hash = target;
  };
  return (
    <tr aria-rowindex={index + 2} data-index={index} class={target === undefined ? "" : "opens"} onClick={open}>
      {columns.map((column, at) => (
        <td key={column.title} class={classOf(column)}>
          {at === 0 && target !== undefined ? <a href={target}>{column.cell(row)}</a> : column.cell(row)}
        </td>
      ))}
    </tr>
  );
}

interface HeadingProps<T> {
  readonly column: Column<T>;
  readonly index: number;
  readonly order: Order | null;
  onOrder(order: Order | null): void;
}

function Heading<T>({ column, index, order, onOrder }: HeadingProps<T>): JSX.Element {
  const isOrdered = order?.column === index;
  // Figures begin with the largest, names with A; the third press goes back to the broker's own order.
  const isFirstDescending = column.isFigure === true;
  const next = (): void => {
    if (!isOrdered) onOrder({ column: index, isDescending: isFirstDescending });
    else if (order.isDescending === isFirstDescending) onOrder({ column: index, isDescending: !isFirstDescending });
    else onOrder(null);
  };
  const state = isOrdered ? (order.isDescending ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" class={classOf(column)} aria-sort={state}>
      {column.sort === undefined ? (
        column.title
      ) : (
        <button type="button" onClick={next}>
          {column.title}
          {isOrdered && <span aria-hidden="true">{order.isDescending ? "↓" : "↑"}</span>}
        </button>
      )}
    </th>
  );
}

function classOf<T>({ isFigure, isWide }: Column<T>): string {
  return `${isFigure ? "figure" : ""} ${isWide ? "wide" : ""}`.trim();
}

function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order | null): readonly T[] {
  const by = order === null ? undefined : columns[order.column]?.sort;
  if (order === null || by === undefined) return rows;
  const sign = order.isDescending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [left, right] = [by(a), by(b)];
    if (typeof left === "string" && typeof right === "string") return sign * left.localeCompare(right);
    return sign * (Number(left) - Number(right));
  });
}

/**
 * Arrows go from row to row. A row that is not drawn yet is scrolled to and gets the focus once it is; until then the
 * box has it, so that keys which come faster than rows are drawn count too.
 */
function useArrows(box: { current: HTMLDivElement | null }, count: number): (event: KeyboardEvent) => void {
  const awaited = useRef<number | null>(null);
  const goTo = (index: number): void => {
    const { current } = box;
    if (current === null) return;
    const link = current.querySelector<HTMLElement>(`tr[data-index="${index}"] a`);
    awaited.current = link === null && count > WHOLE_ROWS_MAX ? index : null;
    if (link !== null) {
      link.focus({ preventScroll: true });
      link.closest("tr")?.scrollIntoView({ block: "nearest" });
    } else if (awaited.current !== null) {
      current.focus({ preventScroll: true });
      current.scrollTo(0, index * ROW_PX - current.clientHeight / 2);
    }
  };
  useEffect(() => {
    if (awaited.current === null) return;
    if (document.activeElement === box.current) goTo(awaited.current);
    else awaited.current = null;
  });
  return (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || !(event.target instanceof HTMLElement)) return;
    const row = event.target.closest<HTMLElement>("tr[data-index]");
    if (row === null && event.target !== box.current) return;
    if (box.current?.querySelector("tr[data-index] a") == null) return;
    event.preventDefault();
    const from = row === null ? awaited.current : Number(row.dataset["index"]);
    goTo(from === null ? 0 : Math.max(0, Math.min(from + step, count - 1)));
  };
}

/** Moves to the first row, from anywhere on the page. */
export function focusFirstRow(): void {
  document.querySelector<HTMLElement>(".table-box tr[data-index] a")?.focus();
}
