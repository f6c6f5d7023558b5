/**
 * Which page is shown stands behind the # of the address, so that the server needs to know only one page, and links,
 * bookmarks and the way back work: `#/topics/default/orders?partition=3`.
 */
import { Store, useStore } from "./store.ts";

export interface Place {
  /** Decoded words of the path. */
  readonly words: readonly string[];
  readonly query: URLSearchParams;
}

const place = new Store<Place>(placeOf(location.hash));

addEventListener("hashchange", () => place.set(placeOf(location.hash)));

export function usePlace(): Place {
  return useStore(place);
}

function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const words = path.split("/").filter((word) => word !== "");
  return { words: words.map(decoded), query: new URLSearchParams(query) };
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

type Query = Readonly<Record<string, string | number | undefined>>;

/** The address of a page, for links. */
export function linkTo(words: readonly string[], query: Query = {}): string {
  const path = words.map(encodeURIComponent).join("/");
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, String(value)]],
  );
  const text = new URLSearchParams(given).toString();
  return `#/${path}${text === "" ? "" : `?${text}`}`;
}

export function go(words: readonly string[], query: Query = {}): void {
  location.hash = linkTo(words, query);
}

/** Changes what the address says without a step in the history: for filters while they are typed. */
export function replaceQuery(query: Query): void {
  const hash = linkTo(place.value.words, query);
  if (hash === location.hash) return;
  history.replaceState(null, "", hash);
  place.set(placeOf(hash));
}
