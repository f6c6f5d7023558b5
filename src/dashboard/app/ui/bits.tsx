/** The small parts that all pages are made of. */
import type { ComponentChildren, JSX } from "preact";
import { ApiError } from "../core/api.ts";

export type Tone = "plain" | "good" | "warn" | "bad" | "accent";

export function Badge({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }): JSX.Element {
  return <span class={`badge ${tone}`}>{children}</span>;
}

interface PageHeadProps {
  readonly title: string;
  /** What kind of thing it is, or where it lies. */
  readonly above?: ComponentChildren;
  readonly note?: ComponentChildren;
  /** Buttons. */
  readonly children?: ComponentChildren;
}

export function PageHead({ title, above, note, children }: PageHeadProps): JSX.Element {
  return (
    <header class="page-head">
      <div>
        {above !== undefined && <div class="above">{above}</div>}
        <h1>{title}</h1>
        {note !== undefined && <p class="muted">{note}</p>}
      </div>
      <div class="actions">{children}</div>
    </header>
  );
}

interface PanelProps {
  readonly title: string;
  readonly note?: ComponentChildren;
  readonly actions?: ComponentChildren;
  readonly class?: string;
  readonly children: ComponentChildren;
}

export function Panel({ title, note, actions, children, class: extra = "" }: PanelProps): JSX.Element {
  return (
    <section class={`panel ${extra}`}>
      <header>
        <h2>{title}</h2>
        {note !== undefined && <span class="muted">{note}</span>}
        {actions !== undefined && <div class="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** One figure with its name; several of them stand in a `Stats`. */
export function Stat({ name, value, note, tone }: StatProps): JSX.Element {
  return (
    <div class={`stat ${tone ?? ""}`}>
      <dt>{name}</dt>
      <dd>
        {value}
        {note !== undefined && <small>{note}</small>}
      </dd>
    </div>
  );
}

interface StatProps {
  readonly name: string;
  readonly value: ComponentChildren;
  readonly note?: ComponentChildren;
  readonly tone?: Tone;
}

export function Stats({ children }: { children: ComponentChildren }): JSX.Element {
  return <dl class="stats">{children}</dl>;
}

/** Settings and other facts, a name and a value each. */
export function Facts({ rows }: { rows: readonly (readonly [string, ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What went wrong and what to do about it, as the broker says it. */
export function ErrorNote({ error }: { error: unknown }): JSX.Element | null {
  if (error === undefined || error === null) return null;
  const { message } = error as Error;
  return (
    <div class="note bad" role="alert">
      <strong>{message}</strong>
      {error instanceof ApiError && error.action !== "" && <span> {error.action}</span>}
      {error instanceof ApiError && <code>{error.codeName}</code>}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

/** What is shown of something that is asked for: an error beside what was there before it, or that nothing came yet. */
export function Asked<T>({ query, children }: AskedProps<T>): JSX.Element {
  const { data, error } = query;
  return (
    <>
      <ErrorNote error={error} />
      {data === undefined ? error === undefined && <p class="empty waiting">Loading …</p> : children(data)}
    </>
  );
}

interface AskedProps<T> {
  readonly query: { readonly data: T | undefined; readonly error: unknown };
  children(data: T): ComponentChildren;
}

interface TabsProps {
  readonly label: string;
  readonly tabs: readonly { readonly name: string; readonly href: string; readonly isOpen: boolean }[];
}

/** Links that look like tabs: each has an address, and the way back goes through them. */
export function Tabs({ label, tabs }: TabsProps): JSX.Element {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(({ name, href, isOpen }) => (
        <a key={name} href={href} aria-current={isOpen ? "page" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}

/** A share of something between 0 and 1, drawn as a bar beside its figure. */
export function Meter({ share, label }: { share: number; label: string }): JSX.Element {
  const percent = `${Math.round(Math.min(1, Math.max(0, share)) * 100)}%`;
  return (
    <span class="meter">
      <span class="track" aria-hidden="true">
        <span style={{ width: percent }} />
      </span>
      {label}
    </span>
  );
}

/** Text as it is, in lines, that scrolls where it is long. */
export function Code({ text, label }: { text: string; label: string }): JSX.Element {
  return (
    <pre class="code" tabIndex={0} role="region" aria-label={label}>
      {text}
    </pre>
  );
}
