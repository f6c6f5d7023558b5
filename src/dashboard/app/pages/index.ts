/** The table of pages: what the first word of an address shows, and where it stands in the navigation. */
import type { JSX } from "preact";
import type { IconName } from "../ui/icons.tsx";
import { AccessPage } from "./access.tsx";
import { ConnectionsPage } from "./connections.tsx";
import { ExchangePage } from "./exchange.tsx";
import { ExchangesPage } from "./exchanges.tsx";
import { ExplainPage } from "./explain.tsx";
import { GroupPage } from "./group.tsx";
import { GroupsPage } from "./groups.tsx";
import { LimitsPage } from "./limits.tsx";
import { MessagesPage } from "./messages.tsx";
import { OverviewPage } from "./overview.tsx";
import { PublishPage } from "./publish.tsx";
import { QueuePage } from "./queue.tsx";
import { QueuesPage } from "./queues.tsx";
import { SchemasPage } from "./schemas.tsx";
import { SubjectPage } from "./subject.tsx";
import { TopicPage } from "./topic.tsx";
import { TopicsPage } from "./topics.tsx";

export interface PageProps {
  /** Of the address, behind the page's own. */
  readonly words: readonly string[];
  readonly query: URLSearchParams;
}

export interface PageRow {
  /** First word of the address. */
  readonly word: string;
  readonly title: string;
  Page(props: PageProps): JSX.Element;
}

interface NavigationRow extends PageRow {
  readonly name: string;
  readonly group: string;
  readonly icon: IconName;
  /** Shortcut. */
  readonly keys: string;
  readonly words: readonly string[];
  /** Of one thing, where the address names it. */
  One?(props: PageProps): JSX.Element;
}

function row(
  group: string,
  name: string,
  icon: IconName,
  key: string,
  Page: PageRow["Page"],
  One?: PageRow["Page"],
): NavigationRow {
  const word = icon === "overview" ? "" : icon;
  const words = word === "" ? [] : [word];
  return { group, name, title: name, icon, keys: `g ${key}`, word, words, Page, ...(One && { One }) };
}

export const NAVIGATION: readonly NavigationRow[] = [
  row("", "Overview", "overview", "o", OverviewPage),
  row("Streams", "Topics", "topics", "t", TopicsPage, TopicPage),
  row("Streams", "Groups", "groups", "r", GroupsPage, GroupPage),
  row("Streams", "Schemas", "schemas", "s", SchemasPage, SubjectPage),
  row("Queues", "Queues", "queues", "q", QueuesPage, QueuePage),
  row("Queues", "Exchanges", "exchanges", "e", ExchangesPage, ExchangePage),
  row("Messages", "Browse", "messages", "m", MessagesPage),
  row("Messages", "Publish", "publish", "p", PublishPage),
  row("Messages", "Explain", "explain", "x", ExplainPage),
  row("Operation", "Connections", "connections", "c", ConnectionsPage),
  row("Operation", "Limits", "limits", "l", LimitsPage),
  row("Operation", "Access", "access", "u", AccessPage),
];

/** The page at an address; unknown ones show the overview. */
export function pageAt(words: readonly string[]): PageRow {
  const [first = "", ...rest] = words;
  const found = NAVIGATION.find(({ word }) => word === first) ?? NAVIGATION[0];
  if (found === undefined) throw new Error("there are no pages");
  if (rest.length === 0 || found.One === undefined) return found;
  return { ...found, Page: found.One };
}
