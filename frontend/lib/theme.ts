// Light or dark: the system's choice until the person makes one. public/theme.js applies it before the first paint.

import { useCallback, useEffect, useState } from "react";

export type Theme = "light" | "dark";
const KEY = "openbell-theme";

export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>("dark");

  useEffect(() => {
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    const follow = () => show(localStorage.getItem(KEY) ?? (system.matches ? "dark" : "light"));
    const show = (name: string) => {
      const next: Theme = name === "light" ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      setTheme(next);
    };
    follow();
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, []);

  const toggle = useCallback(() => {
    const next: Theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem(KEY, next);
    setTheme(next);
  }, []);

  return [theme, toggle];
}

/** The colour a CSS variable has now, in a form a canvas understands. */
export function colour(name: string, within: HTMLElement): string {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  within.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}
