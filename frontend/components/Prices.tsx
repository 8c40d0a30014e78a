import { type Dispatch, memo } from "react";
import * as format from "@/lib/format";
import type { Action, Chart, PriceRow } from "@/lib/state";
import { Empty } from "./Panel";

interface Properties {
  symbols: string[];
  prices: Record<string, PriceRow>;
  chart: Chart;
  dispatch: Dispatch<Action>;
}

export const Prices = memo(function Prices({ symbols, prices, chart, dispatch }: Properties) {
  return (
    <>
      {symbols.length === 0 ? (
        <Empty>Instruments appear when the feed is connected.</Empty>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col" className="number">
                Last
              </th>
              <th scope="col" className="number">
                Bid / Ask
              </th>
            </tr>
          </thead>
          <tbody>
            {symbols.map((symbol) => (
              <tr key={symbol} data-symbol={symbol} aria-current={symbol === chart.symbol ? "true" : undefined}>
                <th scope="row">
                  <button
                    type="button"
                    className="plain"
                    title={`Show ${symbol} in the chart`}
                    onClick={() => dispatch({ type: "choose", symbol, timeframe: chart.timeframe })}
                  >
                    {symbol}
                  </button>
                </th>
                <Quote row={prices[symbol]} />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
});

function Quote({ row }: { row: PriceRow | undefined }) {
  const direction = format.tone(row?.direction);
  return (
    <>
      <td className="number">
        {/* A new key replaces the element, which plays the flash from its start. */}
        <span key={row?.price} className={`last ${direction}`} data-testid="last-price">
          {format.price(row?.price, row?.decimals)}
        </span>
      </td>
      <td className="number quiet pair">
        <span>{format.price(row?.bid, row?.decimals)}</span>
        <span>{format.price(row?.ask, row?.decimals)}</span>
      </td>
    </>
  );
}
