/** The frame: who is there, which page is shown, and the keys that work on all of them. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isLoginNeeded } from "./core/api.ts";
import { useShortcuts } from "./core/keys.ts";
import { go, usePlace } from "./core/router.ts";
import { askWhoIAm, whoami } from "./core/session.ts";
import { useStore } from "./core/store.ts";
import { toggleTheme } from "./core/theme.ts";
import { NAVIGATION, pageAt } from "./pages/index.ts";
import { LoginPage } from "./pages/login.tsx";
import { Side, Top } from "./shell.tsx";
import { ErrorNote } from "./ui/bits.tsx";
import { HelpDialog } from "./ui/help.tsx";
import { focusFirstRow } from "./ui/table.tsx";
import { Toasts } from "./ui/toasts.tsx";

const RETRY_MS = 2000;

export function App(): JSX.Element {
  const isOut = useStore(isLoginNeeded);
  const who = useStore(whoami);
  const error = useWhoami(isOut);
  if (isOut) return <LoginPage />;
  if (who === null) {
    return (
      <div class="gate" role="main">
        <h1 class="brand">Millrace</h1>
        {error === undefined ? <p class="empty waiting">Connecting …</p> : <ErrorNote error={error} />}
      </div>
    );
  }
  return <Shell />;
}

/** Asks until the broker answers. @returns why it does not. */
function useWhoami(isOut: boolean): unknown {
  const [error, setError] = useState<unknown>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (isOut || whoami.value !== null) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    askWhoIAm().catch((failure: unknown) => {
      setError(failure);
      timer = setTimeout(() => setRound(round + 1), RETRY_MS);
    });
    return () => clearTimeout(timer);
  }, [isOut, round]);
  return error;
}

function Shell(): JSX.Element {
  const { words, query } = usePlace();
  const [isMenuOpen, setMenuOpen] = useState(false);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const page = pageAt(words);
  const { title, Page } = page;
  const place = words.join("/");
  const shortcuts = [
    ...NAVIGATION.map(({ keys, name, words: to }) => ({ keys, what: name, run: () => go(to) })),
    {
      keys: "/",
      what: "Filter the list",
      run: () => document.querySelector<HTMLElement>("input[type=search]")?.focus(),
    },
    { keys: "j", what: "Go to the first row; arrows go on", run: focusFirstRow },
    { keys: "t", what: "Light or dark", run: toggleTheme },
    { keys: "?", what: "This list", run: () => setHelpOpen(true) },
  ];
  useShortcuts(shortcuts);
  useEffect(() => {
    setMenuOpen(false);
    document.title = `${[words.at(-1), title].filter(Boolean).join(" · ")} · Millrace`;
    // A reader of the page hears of the new one; the first page leaves the focus where it is.
    if (document.activeElement !== document.body) main.current?.focus({ preventScroll: true });
    main.current?.scrollTo(0, 0);
  }, [place]);
  return (
    <div class="shell">
      <a
        class="button skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        To the page
      </a>
      <Top onMenu={() => setMenuOpen(!isMenuOpen)} isMenuOpen={isMenuOpen} onHelp={() => setHelpOpen(true)} />
      <Side isOpen={isMenuOpen} current={page} />
      <main id="main" ref={main} tabIndex={-1}>
        <Page key={place} words={words.slice(1)} query={query} />
      </main>
      {isHelpOpen && <HelpDialog shortcuts={shortcuts} onClose={() => setHelpOpen(false)} />}
      <Toasts />
    </div>
  );
}
