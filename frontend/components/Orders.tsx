import { memo, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { useMay } from "@/lib/session";
import type { PriceRow } from "@/lib/state";
import type { Order } from "@/lib/types";
import { Empty } from "./Panel";

const TONES: Record<string, string> = {
  submitted: "open",
  accepted: "open",
  partially_filled: "open",
  filled: "good",
  canceled: "calm",
  expired: "calm",
  rejected: "bad",
  denied: "bad",
};

export const isOpen = (order: Order): boolean => TONES[order.status] === "open";

interface Properties {
  orders: Order[];
  prices: Record<string, PriceRow>;
  blind: boolean;
}

export const Orders = memo(function Orders({ orders, prices, blind }: Properties) {
  const [failure, setFailure] = useState("");
  const cancel = (id: string) =>
    answer(() => gateway.DELETE("/orders/{order_id}", { params: { path: { order_id: id } } })).then(
      () => setFailure(""),
      (error: Error) => setFailure(`Order ${id} was not canceled. ${error.message}`),
    );
  return (
    <>
      {failure && (
        <p className="failure" role="alert">
          {failure}
        </p>
      )}
      {orders.length === 0 ? (
        <Empty>No orders yet. They appear here the moment a strategy decides.</Empty>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col" className="roomy">
                Time
              </th>
              <th scope="col">Order</th>
              <th scope="col" className="spacious">
                Strategy
              </th>
              <th scope="col" className="spacious">
                Type
              </th>
              <th scope="col" className="number">
                Filled
              </th>
              <th scope="col" className="number">
                Price
              </th>
              <th scope="col">Status</th>
            </tr>
          </thead>
          <tbody>
            {orders.map((order) => (
              <Row key={order.id} order={order} decimals={prices[order.symbol]?.decimals} blind={blind} onCancel={cancel} />
            ))}
          </tbody>
        </table>
      )}
    </>
  );
});

interface RowProperties {
  order: Order;
  decimals: number | undefined;
  blind: boolean;
  onCancel: (id: string) => void;
}

const Row = memo(function Row({ order, decimals, blind, onCancel }: RowProperties) {
  const may = useMay("trade");
  const tone = TONES[order.status] ?? "calm";
  return (
    <tr data-order={order.id}>
      <td className="roomy quiet" title={`${format.day(order.ts)}, UTC. Order ${order.id}`}>
        {format.clock(order.ts)}
      </td>
      <td>
        <span className={`side ${order.side}`}>{order.side}</span> {order.symbol}
        <small className="tight">{format.clock(order.ts)}</small>
      </td>
      <td className="spacious quiet">{order.strategy || "by hand"}</td>
      <td className="spacious quiet">
        {format.words(order.type)} <span className="force">{order.time_in_force}</span>
      </td>
      <td className="number">
        {order.filled === order.quantity ? (
          format.quantity(order.filled)
        ) : (
          <>
            {format.quantity(order.filled)}
            <span className="quiet"> / {format.quantity(order.quantity)}</span>
          </>
        )}
      </td>
      <td className="number">{format.price(order.average_price ?? order.limit_price ?? order.stop_price, decimals)}</td>
      <td className="state">
        <span className={`tag ${tone}`}>{order.status === "partially_filled" ? "partial" : order.status}</span>
        {tone === "open" && may && (
          <button type="button" className="small" disabled={blind} onClick={() => onCancel(order.id)}>
            Cancel
          </button>
        )}
        {order.reason && <span className="reason"> {format.words(order.reason)}</span>}
      </td>
    </tr>
  );
});
