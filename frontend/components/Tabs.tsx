import { type KeyboardEvent, type ReactNode, useId, useState } from "react";

export interface Tab {
  title: string;
  /** Beside the title, such as how many there are. */
  count?: number;
  /** Shown at the end of the row while the tab is chosen. */
  aside?: ReactNode;
  content: ReactNode;
}

interface Properties {
  /** What the tabs choose from, for a screen reader. */
  label: string;
  tabs: Tab[];
  start?: number;
}

/** A row of tabs and what the chosen one shows. The arrow keys walk along the row. */
export function useTabs({ label, tabs, start = 0 }: Properties): { chosen: Tab; row: ReactNode; shown: ReactNode } {
  const id = useId();
  const [at, setAt] = useState(start);
  const place = Math.min(at, tabs.length - 1);
  const chosen = tabs[place]!;

  const walk = (event: KeyboardEvent<HTMLDivElement>) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (place + step + tabs.length) % tabs.length;
    event.preventDefault();
    setAt(next);
    event.currentTarget.querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus();
  };

  const row = (
    <div className="tabs" role="tablist" aria-label={label} onKeyDown={walk}>
      {tabs.map(({ title, count }, index) => (
        <button
          key={title}
          type="button"
          role="tab"
          id={`${id}-${index}`}
          aria-selected={index === place}
          aria-controls={`${id}-shown`}
          tabIndex={index === place ? 0 : -1}
          onClick={() => setAt(index)}
        >
          {title}
          {count ? <span className="count"> {count}</span> : null}
        </button>
      ))}
    </div>
  );
  const shown = (
    <div className="shown" role="tabpanel" id={`${id}-shown`} aria-labelledby={`${id}-${place}`}>
      {chosen.content}
    </div>
  );
  return { chosen, row, shown };
}

/** A panel of the board that shows one of several things; it has the name of the one that it shows. */
export function TabbedPanel({ name, ...properties }: Properties & { name: string }) {
  const { chosen, row, shown } = useTabs(properties);
  return (
    <section className={`panel ${name}`} aria-label={chosen.title}>
      <div className="head">
        {row}
        {chosen.aside}
      </div>
      <div className="body" tabIndex={0} role="group" aria-label={chosen.title}>
        {shown}
      </div>
    </section>
  );
}
