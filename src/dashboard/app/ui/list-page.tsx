/** A page that is one long list with a filter over names. */
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { whole } from "../core/format.ts";
import { type Query, ROWS_MAX } from "../core/query.ts";
import { replaceQuery, usePlace } from "../core/router.ts";
import { Asked, PageHead } from "./bits.tsx";
import { type Column, Table } from "./table.tsx";

interface ListPageProps<T> {
  readonly title: string;
  readonly query: Query<readonly T[]>;
  readonly columns: readonly Column<T>[];
  keyOf(row: T): string;
  /** What the filter looks at. */
  textOf(row: T): string;
  href?(row: T): string;
  readonly empty: ComponentChildren;
  /** Buttons. */
  readonly children?: ComponentChildren;
}

export function ListPage<T>(props: ListPageProps<T>): JSX.Element {
  const { title, query, textOf, children, ...table } = props;
  return (
    <div class="page tall">
      <PageHead title={title}>{children}</PageHead>
      <Asked query={query}>{(rows) => <FilteredTable {...table} label={title} rows={rows} textOf={textOf} />}</Asked>
    </div>
  );
}

type FilteredProps<T> = Omit<ListPageProps<T>, "title" | "query" | "children"> & {
  readonly label: string;
  readonly rows: readonly T[];
};

function FilteredTable<T>({ rows, textOf, label, empty, ...table }: FilteredProps<T>): JSX.Element {
  const find = usePlace().query.get("find") ?? "";
  const found = useMemo(() => matching(rows, textOf, find), [rows, find]);
  return (
    <>
      <div class="filters">
        <input
          type="search"
          class="grow"
          placeholder="Filter by name"
          aria-label={`Filter ${label.toLowerCase()}`}
          value={find}
          onInput={({ currentTarget }) => replaceQuery({ find: currentTarget.value })}
        />
        <span class="count" role="status">
          {found.length === rows.length ? whole(rows.length) : `${whole(found.length)} of ${whole(rows.length)}`}
          {rows.length >= ROWS_MAX && " (the first ones)"}
        </span>
      </div>
      <Table {...table} label={label} rows={found} empty={find === "" ? empty : `Nothing matches “${find}”.`} isTall />
    </>
  );
}

/** Rows that have every word of the filter, in whatever order. */
function matching<T>(rows: readonly T[], textOf: (row: T) => string, find: string): readonly T[] {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter((row) => {
    const text = textOf(row).toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
