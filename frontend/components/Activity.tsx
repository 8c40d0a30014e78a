import { memo, useMemo } from "react";
import * as format from "@/lib/format";
import type { PriceRow } from "@/lib/state";
import type { Fill, Signal } from "@/lib/types";
import { Empty, Panel } from "./Panel";

interface Properties {
  fills: Fill[];
  signals: Signal[];
  prices: Record<string, PriceRow>;
}

interface Event {
  key: string;
  ts: number;
  side: Fill["side"];
  symbol: string;
  strategy: string;
  price: number;
  fill: Fill | null;
}

const SHOWN = 80;

export const Activity = memo(function Activity({ fills, signals, prices }: Properties) {
  const events = useMemo(() => eventsOf(fills, signals), [fills, signals]);
  return (
    <Panel name="activity" title="Fills and signals" scrolls>
      {events.length === 0 ? (
        <Empty>Quiet so far. Signals and fills are listed as they happen.</Empty>
      ) : (
        <ol>
          {events.map(({ key, ts, side, symbol, strategy, price, fill }) => (
            <li key={key} className={fill ? "fill" : "signal"}>
              <time dateTime={new Date(ts).toISOString()}>{format.clock(ts)}</time>
              <span className="what">
                <span className={`side ${side}`}>{side}</span> {symbol}
                <small>{fill ? strategy : `signal of ${strategy}`}</small>
              </span>
              <span className="number">
                {format.price(price, prices[symbol]?.decimals)}
                {fill && (
                  <small>
                    {format.quantity(fill.quantity)}
                    {fill.realised_pnl !== 0 && (
                      <span className={`won ${format.tone(fill.realised_pnl)}`}>{format.gain(fill.realised_pnl)}</span>
                    )}
                  </small>
                )}
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
});

function eventsOf(fills: Fill[], signals: Signal[]): Event[] {
  const filled = fills.slice(0, SHOWN).map((fill): Event => ({ ...fill, key: keyOf(fill), fill }));
  const signalled = signals.slice(0, SHOWN).map((signal): Event => {
    const key = `signal ${signal.ts} ${signal.strategy} ${signal.symbol} ${signal.side}`;
    return { ...signal, key, fill: null };
  });
  return [...filled, ...signalled].sort((a, b) => b.ts - a.ts).slice(0, SHOWN);
}

/** Several orders may be filled by one tick, and one order at several prices. */
const keyOf = ({ seq, order_id, price, quantity }: Fill) => `fill ${seq} ${order_id} ${price} ${quantity}`;
