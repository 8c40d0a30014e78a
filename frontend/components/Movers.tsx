import { type Dispatch, useCallback, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { usePolled } from "@/lib/polled";
import type { Action, Chart, PriceRow } from "@/lib/state";
import type { Activity, Mover, Window } from "@/lib/types";
import { Failure } from "./Field";
import { Empty } from "./Panel";

const WINDOWS: Window[] = ["1m", "5m", "15m", "1h", "1d"];
const ACTIVITIES: readonly (readonly [Activity, string])[] = [
  ["notional", "by money"],
  ["volume", "by units"],
  ["trades", "by trades"],
];
const LIMIT = 5;

interface Properties {
  prices: Record<string, PriceRow>;
  chart: Chart;
  dispatch: Dispatch<Action>;
}

/** What rose most, fell most and traded most within a window, asked for anew while it is looked at. */
export function Movers({ prices, chart, dispatch }: Properties) {
  const [window_, setWindow] = useState<Window>("5m");
  const [by, setBy] = useState<Activity>("notional");
  const ask = useCallback(
    (signal: AbortSignal) => {
      const params = { query: { window: window_, by, limit: LIMIT } };
      return answer(() => gateway.GET("/analytics/movers", { params, signal }));
    },
    [window_, by],
  );
  const { found, failure } = usePolled(ask);

  const groups: [string, Mover[]][] = [
    ["Rising", found?.gainers ?? []],
    ["Falling", found?.losers ?? []],
    ["Most traded", found?.most_active ?? []],
  ];
  const some = groups.filter(([, movers]) => movers.length > 0);
  return (
    <>
      <div className="windows">
        <div className="timeframes" role="group" aria-label="Window">
          {WINDOWS.map((name) => (
            <button key={name} type="button" aria-pressed={name === window_} onClick={() => setWindow(name)}>
              {name}
            </button>
          ))}
        </div>
        <select aria-label="Most traded" value={by} onChange={(event) => setBy(event.target.value as Activity)}>
          {ACTIVITIES.map(([name, text]) => (
            <option key={name} value={name}>
              {text}
            </option>
          ))}
        </select>
      </div>
      <Failure>{failure}</Failure>
      {some.length === 0 ? (
        <Empty>{found ? `Nothing is known of the last ${window_} yet.` : "Loading…"}</Empty>
      ) : (
        <table className="movers">
          <thead className="hidden">
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col">Price</th>
              <th scope="col">Change</th>
            </tr>
          </thead>
          {some.map(([title, movers]) => (
            <tbody key={title}>
              <tr className="group">
                <th scope="rowgroup" colSpan={3}>
                  {title}
                </th>
              </tr>
              {movers.map((mover) => (
                <tr key={mover.symbol} data-mover={mover.symbol}>
                  <th scope="row">
                    <button
                      type="button"
                      className="plain"
                      title={`Show ${mover.symbol} in the chart`}
                      onClick={() => dispatch({ type: "choose", symbol: mover.symbol, timeframe: chart.timeframe })}
                    >
                      {mover.symbol}
                    </button>
                    {title === "Most traded" && (
                      <small>
                        {format.compact(mover[by])} {by === "trades" ? "trades" : by === "volume" ? "units" : "traded"}
                      </small>
                    )}
                  </th>
                  <td className="number">{format.price(mover.price, prices[mover.symbol]?.decimals)}</td>
                  <td className={`number ${format.tone(mover.change_percent)}`}>{format.percent(mover.change_percent / 100)}</td>
                </tr>
              ))}
            </tbody>
          ))}
        </table>
      )}
    </>
  );
}
