import { useEffect, useRef, useState } from "react";
import { useDoing } from "@/lib/session";
import type { Who } from "@/lib/types";
import { Failure } from "../Field";
import { Person } from "../icons";
import { Account, SECTIONS } from "./Account";

interface Properties {
  who: Who;
  onChange: () => Promise<void>;
  onLeave: () => Promise<void>;
}

/** Who is signed in, and what concerns her: a list that opens under a button, and the window of each of its lines. */
export function Menu({ who, onChange, onLeave }: Properties) {
  const [open, setOpen] = useState(false);
  const [section, setSection] = useState(-1);
  const { busy, failure, run } = useDoing();
  const element = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    element.current?.querySelector<HTMLElement>(".menu button")?.focus();
    const outside = (event: Event) => {
      if (!element.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);

  const walk = (event: React.KeyboardEvent<HTMLDivElement>) => {
    if (event.key === "Escape") {
      setOpen(false);
      button.current?.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const lines = [...event.currentTarget.querySelectorAll<HTMLElement>(".menu button")];
    if (!step || lines.length === 0) return;
    event.preventDefault();
    const at = lines.indexOf(document.activeElement as HTMLElement);
    lines[(at + step + lines.length) % lines.length]?.focus();
  };

  return (
    <div
      className="person"
      ref={element}
      onKeyDown={walk}
      onBlur={(event) => {
        if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) setOpen(false);
      }}
    >
      <button
        ref={button}
        type="button"
        className="icon"
        aria-expanded={open}
        aria-label={`Account of ${who.name}`}
        title={`Account of ${who.name}`}
        onClick={() => setOpen(!open)}
      >
        <Person />
      </button>
      {open && (
        <div className="menu">
          <p className="who">
            <strong>{who.name}</strong>
            <small>{who.role}</small>
          </p>
          {SECTIONS.map((title, index) => (
            <button
              key={title}
              type="button"
              onClick={() => {
                button.current?.focus();
                setOpen(false);
                setSection(index);
              }}
            >
              {title}
            </button>
          ))}
          <button type="button" className="leave" disabled={busy} onClick={() => void run(onLeave)}>
            Sign out
          </button>
          <Failure>{failure}</Failure>
        </div>
      )}
      {section >= 0 && <Account who={who} start={section} onChange={onChange} onClose={() => setSection(-1)} />}
    </div>
  );
}
