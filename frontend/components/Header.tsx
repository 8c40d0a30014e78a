import * as format from "@/lib/format";
import { equityAtDayStart } from "@/lib/state";
import type { Link } from "@/lib/stream";
import type { Theme } from "@/lib/theme";
import type { EquityPoint, Portfolio } from "@/lib/types";

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
}

export function Header({ run, link, age, stale, finished, portfolio, equity, theme, onTheme }: Properties) {
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
      <button type="button" className="icon" onClick={onTheme} aria-label={`Use the ${other} theme`} title={`Use the ${other} theme`}>
        {theme === "dark" ? <Sun /> : <Moon />}
      </button>
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

const drawn = {
  viewBox: "0 0 24 24",
  fill: "none",
  stroke: "currentColor",
  strokeWidth: 1.75,
  strokeLinecap: "round",
  strokeLinejoin: "round",
  "aria-hidden": true,
} as const;

/** An opening bell with a candle in it. */
function Bell() {
  return (
    <svg {...drawn} className="bell">
      <path d="M12 2.75a6 6 0 0 0-6 6v4.5l-2 3.5h16l-2-3.5v-4.5a6 6 0 0 0-6-6Z" />
      <path d="M12 6v7" />
      <path d="M10.6 7.9h2.8v3.1h-2.8z" fill="currentColor" />
      <path d="M10 19.75a2.1 2.1 0 0 0 4 0" />
    </svg>
  );
}

function Sun() {
  return (
    <svg {...drawn}>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1" />
    </svg>
  );
}

function Moon() {
  return (
    <svg {...drawn}>
      <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z" />
    </svg>
  );
}
