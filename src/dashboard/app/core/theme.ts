/** Light or dark: the system's choice until the user makes one, which this browser keeps. */
import { Store } from "./store.ts";

export type Theme = "system" | "light" | "dark";

const KEY = "millrace.theme";
const systemDark = matchMedia("(prefers-color-scheme: dark)");

export const theme = new Store<Theme>(kept());

function kept(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

function show(value: Theme): void {
  if (value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = value;
}

export function setTheme(value: Theme): void {
  if (value === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, value);
  show(value);
  theme.set(value);
}

/** What is seen now, whoever chose it. */
export function isDark(): boolean {
  return theme.value === "dark" || (theme.value === "system" && systemDark.matches);
}

export function toggleTheme(): void {
  setTheme(isDark() ? "light" : "dark");
}

show(theme.value);
systemDark.addEventListener("change", () => theme.set(theme.value));
