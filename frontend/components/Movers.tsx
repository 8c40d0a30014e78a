import { type Dispatch, useEffect, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import type { Action, Chart, PriceRow } from "@/lib/state";
import type { Mover, Movers as Found } from "@/lib/types";
import { Empty } from "./Panel";

const WINDOWS = ["1m", "5m", "15m", "1h", "1d"];
const AGAIN_MS = 5_000;
const LIMIT = 5;

interface Properties {
  prices: Record<string, PriceRow>;
  chart: Chart;
  dispatch: Dispatch<Action>;
}

/** What rose most, fell most and traded most within a window, asked for anew while it is looked at. */
export function Movers({ prices, chart, dispatch }: Properties) {
  const [window_, setWindow] = useState("5m");
  const [found, setFound] = useState<Found | null>(null);
  const [failure, setFailure] = useState("");

  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    const ask = () => {
      const params = { query: { window: window_, limit: LIMIT } };
      answer(() => gateway.GET("/analytics/movers", { params, signal: abort.signal }))
        .then(
          (movers) => {
            setFound(movers);
            setFailure("");
          },
          (error: Error) => {
            if (!abort.signal.aborted) setFailure(error.message);
          },
        )
        .finally(() => {
          if (!abort.signal.aborted) timer = window.setTimeout(ask, AGAIN_MS);
        });
    };
    ask();
    return () => {
      abort.abort();
      window.clearTimeout(timer);
    };
  }, [window_]);

  const groups: [string, Mover[]][] = [
    ["Rising", found?.gainers ?? []],
    ["Falling", found?.losers ?? []],
    ["Most traded", found?.most_active ?? []],
  ];
  const some = groups.filter(([, movers]) => movers.length > 0);
  return (
    <>
      <div className="timeframes windows" role="group" aria-label="Window">
        {WINDOWS.map((name) => (
          <button key={name} type="button" aria-pressed={name === window_} onClick={() => setWindow(name)}>
            {name}
          </button>
        ))}
      </div>
      {failure && (
        <p className="failure" role="alert">
          {failure}
        </p>
      )}
      {some.length === 0 ? (
        <Empty>{found ? `Nothing has moved within ${window_}.` : "Loading…"}</Empty>
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
                    {title === "Most traded" && mover.volume != null && <small>{format.compact(mover.volume)} traded</small>}
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
