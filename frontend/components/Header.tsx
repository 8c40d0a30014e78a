import type { ReactNode } from "react";
import * as format from "@/lib/format";
import { equityAtDayStart } from "@/lib/state";
import type { Link } from "@/lib/stream";
import type { Theme } from "@/lib/theme";
import type { EquityPoint, Portfolio } from "@/lib/types";
import { Bell, Moon, Sun } from "./icons";

interface Properties {
  run: string;
  link: Link;
  age: number | null;
  stale: boolean;
  finished: boolean;
  portfolio: Portfolio | null;
  equity: EquityPoint[];
  theme: Theme;
  onTheme: () => void;
  /** What stands at the end: buttons of the person who looks. */
  children?: ReactNode;
}

export function Header({ run, link, age, stale, finished, portfolio, equity, theme, onTheme, children }: Properties) {
  const other = theme === "dark" ? "light" : "dark";
  const base = portfolio ? equityAtDayStart(equity, portfolio) : null;
  const today = portfolio && base !== null ? portfolio.equity - base : null;
  const condition = conditionOf(link, age, stale, finished);
  return (
    <header className="masthead">
      <h1 className="brand">
        <Bell />
        openbell
      </h1>
      {run && (
        <p className="run" title="The run: the name under which everything shown here is recorded">
          <span className="quiet">run</span> <code>{run}</code>
        </p>
      )}
      {portfolio && portfolio.ts > 0 && (
        <p className="market" title="The market's clock">
          <time dateTime={new Date(portfolio.ts).toISOString()}>
            {format.day(portfolio.ts)} {format.clock(portfolio.ts)}
          </time>{" "}
          <span className="quiet">UTC</span>
        </p>
      )}
      <p className={`condition ${condition.className}`}>
        <span className="lamp" aria-hidden="true" />
        <span role="status">{condition.label}</span>
        {age !== null && (
          <span className="age" title="Since market data last arrived">
            {format.age(age)}
          </span>
        )}
      </p>
      <dl className="totals">
        <div>
          <dt>Equity</dt>
          <dd data-testid="equity">{portfolio ? format.money(portfolio.equity, portfolio.currency) : "–"}</dd>
        </div>
        <div title={portfolio ? `Since 00:00 UTC of ${format.day(portfolio.ts)}, or since the run began` : undefined}>
          <dt>Day P&amp;L</dt>
          <dd className={format.tone(today)} data-testid="day-pnl">
            {format.gain(today)}
            {today !== null && base ? <small>{format.percent(today / base)}</small> : null}
          </dd>
        </div>
      </dl>
      <div className="tools">
        <button type="button" className="icon" onClick={onTheme} aria-label={`Use the ${other} theme`} title={`Use the ${other} theme`}>
          {theme === "dark" ? <Sun /> : <Moon />}
        </button>
        {children}
      </div>
    </header>
  );
}

interface Condition {
  label: string;
  className: string;
}

function conditionOf(link: Link, age: number | null, stale: boolean, finished: boolean): Condition {
  if (link.phase === "connecting") return { label: "Connecting", className: "warn" };
  if (link.phase === "waiting") return { label: "Offline", className: "bad" };
  if (finished) return { label: "Finished", className: "calm" };
  if (age === null) return { label: "Waiting", className: "warn" };
  return stale ? { label: "Stale", className: "warn" } : { label: "Live", className: "good" };
}
