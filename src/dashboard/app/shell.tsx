/** What stands around the page: the bar at the top and the navigation. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { apiPath } from "./core/api.ts";
import { live } from "./core/live.ts";
import { chooseNamespace, namespace } from "./core/namespace.ts";
import { useList } from "./core/query.ts";
import { go, linkTo } from "./core/router.ts";
import { logOut, whoami } from "./core/session.ts";
import { useStore } from "./core/store.ts";
import { isDark, theme, toggleTheme } from "./core/theme.ts";
import { NAVIGATION, type PageRow } from "./pages/index.ts";
import { Icon } from "./ui/icons.tsx";

interface TopProps {
  readonly isMenuOpen: boolean;
  onMenu(): void;
  onHelp(): void;
}

export function Top({ isMenuOpen, onMenu, onHelp }: TopProps): JSX.Element {
  useStore(theme);
  return (
    <header class="top">
      <button
        type="button"
        class="quiet icon-only menu-button"
        aria-label="Navigation"
        aria-expanded={isMenuOpen}
        aria-controls="navigation"
        onClick={onMenu}
      >
        <Icon name="menu" />
      </button>
      <a class="brand" href={linkTo([])} aria-label="Millrace: overview">
        <img src="/assets/icon.svg" alt="" />
        <span>Millrace</span>
      </a>
      <NamespaceChoice />
      <span class="spread" />
      <LiveState />
      <Who />
      <button
        type="button"
        class="quiet icon-only"
        aria-label="Keyboard shortcuts"
        title="Shortcuts (?)"
        onClick={onHelp}
      >
        <Icon name="help" />
      </button>
      <button
        type="button"
        class="quiet icon-only"
        aria-label={isDark() ? "Light colours" : "Dark colours"}
        title="Light or dark (t)"
        onClick={toggleTheme}
      >
        <Icon name={isDark() ? "sun" : "moon"} />
      </button>
    </header>
  );
}

/** What else there is to choose can wait until the page has what it shows: telling of all namespaces takes the broker a while. */
const CHOICES_AFTER_MS = 1000;

function useLater(): boolean {
  const [isLater, setLater] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLater(true), CHOICES_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return isLater;
}

function NamespaceChoice(): JSX.Element {
  const current = useStore(namespace);
  const { data } = useList<{ name: string }>(useLater() ? apiPath(["namespaces"]) : null);
  const names = [...new Set([current, ...(data ?? []).map(({ name }) => name)])].sort();
  const choose = (name: string): void => {
    chooseNamespace(name);
    // What is shown belongs to the other namespace.
    const [first = ""] = location.hash.replace(/^#\//, "").split(/[/?]/);
    go(first === "" ? [] : [first]);
  };
  return (
    <label>
      <span class="wide">Namespace</span>
      <select aria-label="Namespace" value={current} onChange={({ currentTarget }) => choose(currentTarget.value)}>
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function LiveState(): JSX.Element {
  const { isOpen } = useStore(live);
  return <span class={`state ${isOpen ? "" : "bad"}`}>{isOpen ? "Live" : "No figures"}</span>;
}

function Who(): JSX.Element | null {
  const who = useStore(whoami);
  if (who === null || who.authentication === "off") return <span class="muted wide">No log-in</span>;
  return (
    <>
      <span class="muted wide">{who.user}</span>
      <button type="button" class="quiet" onClick={() => void logOut()}>
        Log out
      </button>
    </>
  );
}

export function Side({ isOpen, current }: { isOpen: boolean; current: PageRow }): JSX.Element {
  const groups = [...new Set(NAVIGATION.map(({ group }) => group))];
  return (
    <nav id="navigation" class={`side ${isOpen ? "open" : ""}`} aria-label="Pages">
      {groups.map((group) => (
        <div key={group}>
          {group !== "" && <h2>{group}</h2>}
          {NAVIGATION.filter((entry) => entry.group === group).map(({ name, icon, words, word }) => (
            <a key={name} href={linkTo(words)} aria-current={current.word === word ? "page" : undefined}>
              <Icon name={icon} />
              {name}
            </a>
          ))}
        </div>
      ))}
    </nav>
  );
}
