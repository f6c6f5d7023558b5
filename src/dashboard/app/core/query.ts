/** What pages ask the broker again and again, and how they hear of it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { get, request } from "./api.ts";

export interface Query<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  /** Of the answer shown. */
  readonly etag: string | null;
  reload(): void;
}

interface Shown<T> {
  readonly path: string | null;
  readonly data?: T;
  readonly etag?: string | null;
  readonly error?: unknown;
}

export interface QueryOptions {
  /** Asks again so long after each answer, while the page is visible. Default: never. */
  readonly everyMs?: number | undefined;
}

/** Asks for one thing. What was shown stays while it is asked again. @param path null asks for nothing. */
export function useQuery<T>(path: string | null, options: QueryOptions = {}): Query<T> {
  return useAsked(path, async (at, signal) => request<T>("GET", at, { signal }), options);
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string | null;
}

const PAGE_ROWS = 1000;
/** A list longer than this is shown in part; a filter on the server's side narrows it. */
export const ROWS_MAX = 20_000;

/** Asks for a whole list, page after page, and shows what is there after each. */
export function useList<T>(path: string | null, options: QueryOptions = {}): Query<readonly T[]> {
  return useAsked(
    path,
    async (at, signal, show) => {
      const rows: T[] = [];
      for (let after: string | null | undefined; ;) {
        const page = await get<Page<T>>(withPage(at, after), signal);
        rows.push(...page.items);
        after = page.next;
        if (after === null || after === undefined || rows.length >= ROWS_MAX) return { body: rows, etag: null };
        show([...rows]);
      }
    },
    options,
  );
}

function withPage(path: string, after: string | null | undefined): string {
  const limit = `${path.includes("?") ? "&" : "?"}limit=${PAGE_ROWS}`;
  return after === null || after === undefined ? path + limit : `${path}${limit}&after=${encodeURIComponent(after)}`;
}

/** So many times as long as an answer took nothing is asked: lists that are long or a broker that is busy are left alone. */
const REST = 5;

type Ask<T> = (
  path: string,
  signal: AbortSignal,
  /** Shows a part of the first answer while the rest is under way. */
  show: (part: T) => void,
) => Promise<{ body: T; etag: string | null }>;

function useAsked<T>(path: string | null, ask: Ask<T>, { everyMs }: QueryOptions): Query<T> {
  const [shown, setShown] = useState<Shown<T>>({ path });
  const [round, setRound] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;
  useEffect(() => {
    if (path === null) return undefined;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const showPart = (data: T): void =>
      setShown((before) => (before.path === path && before.data !== undefined ? before : { path, data }));
    const run = async (): Promise<void> => {
      const startMs = performance.now();
      try {
        const { body, etag } = await asking.current(path, abort.signal, showPart);
        if (!abort.signal.aborted) setShown({ path, data: body, etag });
      } catch (error) {
        if (!abort.signal.aborted) setShown((before) => ({ ...(before.path === path ? before : { path }), error }));
      }
      if (everyMs === undefined || abort.signal.aborted) return;
      timer = setTimeout(wait, Math.max(everyMs, (performance.now() - startMs) * REST));
    };
    const wait = (): void => {
      if (document.visibilityState === "visible") void run();
      else timer = setTimeout(wait, everyMs);
    };
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs, round]);
  const current: Shown<T> = shown.path === path ? shown : { path };
  return {
    data: current.data,
    error: current.error,
    etag: current.etag ?? null,
    reload: () => setRound((before) => before + 1),
  };
}
