import { type ReactNode, useId } from "react";

interface Properties {
  title: string;
  name: string;
  aside?: ReactNode;
  /** Nothing inside can be focused, so the keys that scroll it need the panel itself. */
  scrolls?: boolean;
  children: ReactNode;
}

export function Panel({ title, name, aside, scrolls, children }: Properties) {
  const id = useId();
  return (
    <section className={`panel ${name}`} aria-labelledby={id}>
      <div className="head">
        <h2 id={id}>{title}</h2>
        {aside}
      </div>
      <div className="body" tabIndex={scrolls ? 0 : undefined}>
        {children}
      </div>
    </section>
  );
}

/** What stands in a panel that has nothing to show: why, and what will fill it. */
export function Empty({ children }: { children: ReactNode }) {
  return <p className="empty">{children}</p>;
}
