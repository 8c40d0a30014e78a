import { memo } from "react";
import * as format from "@/lib/format";
import type { PriceRow } from "@/lib/state";
import type { Portfolio } from "@/lib/types";
import { Empty, Panel } from "./Panel";

interface Properties {
  portfolio: Portfolio | null;
  prices: Record<string, PriceRow>;
}

export const Positions = memo(function Positions({ portfolio, prices }: Properties) {
  const held = portfolio?.positions.filter((position) => position.quantity !== 0) ?? [];
  return (
    <Panel
      name="positions"
      title="Positions"
      scrolls
      aside={portfolio && <p className="aside">Cash {format.money(portfolio.cash, portfolio.currency)}</p>}
    >
      {held.length === 0 ? (
        <Empty>No open position. Everything is in cash.</Empty>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col" className="number">
                Quantity
              </th>
              <th scope="col" className="number">
                Value
              </th>
              <th scope="col" className="number">
                Open P&amp;L
              </th>
            </tr>
          </thead>
          <tbody>
            {held.map((position) => (
              <tr key={`${position.strategy} ${position.symbol}`}>
                <th scope="row">
                  {position.symbol}
                  <small>{position.strategy}</small>
                </th>
                <td className="number">
                  {format.quantity(position.quantity)}
                  <small>at {format.price(position.average_price, prices[position.symbol]?.decimals)}</small>
                </td>
                <td className="number">{format.price(position.value)}</td>
                <td className={`number ${format.tone(position.unrealised_pnl)}`}>{format.gain(position.unrealised_pnl)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {portfolio && (
        <dl className="sums">
          <div>
            <dt>Realised</dt>
            <dd className={format.tone(portfolio.realised_pnl)}>{format.gain(portfolio.realised_pnl)}</dd>
          </div>
          <div>
            <dt>Open</dt>
            <dd className={format.tone(portfolio.unrealised_pnl)}>{format.gain(portfolio.unrealised_pnl)}</dd>
          </div>
          <div>
            <dt>Fees</dt>
            <dd>{format.price(portfolio.fees)}</dd>
          </div>
        </dl>
      )}
    </Panel>
  );
});
