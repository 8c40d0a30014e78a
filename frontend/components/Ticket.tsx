import { type FormEvent, useEffect, useRef, useState } from "react";
import { newKey } from "@/lib/desk";
import * as format from "@/lib/format";
import { answer, gateway, Refusal } from "@/lib/gateway";
import type { PriceRow } from "@/lib/state";
import type { NewOrder, Order, Side } from "@/lib/types";
import { Dialog } from "./Dialog";
import { Choice, Failure, Field } from "./Field";

const TYPES = [
  ["market", "market"],
  ["limit", "limit"],
  ["stop", "stop"],
  ["stop_limit", "stop limit"],
] as const;
const FORCES = [
  ["gtc", "until canceled (GTC)"],
  ["day", "today (DAY)"],
  ["ioc", "now or not at all, in part (IOC)"],
  ["fok", "now, whole or not at all (FOK)"],
] as const;

interface Properties {
  symbol: string;
  symbols: string[];
  side: Side;
  prices: Record<string, PriceRow>;
  orders: Order[];
  currency: string;
  /** Prices are old or the link is down: nothing may be ordered. */
  blind: boolean;
  onClose: () => void;
}

/** An order by hand: filled in, read once more, placed. */
export function Ticket({ symbols, prices, orders, currency, blind, onClose, ...start }: Properties) {
  const [symbol, setSymbol] = useState(start.symbol);
  const [side, setSide] = useState<Side>(start.side);
  const [type, setType] = useState<NonNullable<NewOrder["type"]>>("market");
  const [force, setForce] = useState<NonNullable<NewOrder["time_in_force"]>>("gtc");
  const [quantity, setQuantity] = useState("");
  const [limit, setLimit] = useState("");
  const [stop, setStop] = useState("");
  const [step, setStep] = useState<"fill-in" | "confirm" | Order>("fill-in");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  // The key of this ticket: however often it is sent, it is one order.
  const key = useRef(newKey());
  const summary = useRef<HTMLDListElement>(null);
  useEffect(() => {
    if (step === "confirm") summary.current?.focus(); // what was said is read out before it is done
  }, [step]);

  const row = prices[symbol];
  const [hasLimit, hasStop] = [type.includes("limit"), type.startsWith("stop")];
  const at = hasLimit ? Number(limit) : hasStop ? Number(stop) : row?.price;
  const worth = at ? Number(quantity) * at : null;
  const body: NewOrder = {
    symbol,
    side,
    type,
    quantity: Number(quantity),
    time_in_force: force,
    limit_price: hasLimit ? Number(limit) : null,
    stop_price: hasStop ? Number(stop) : null,
  };

  const place = async () => {
    setBusy(true);
    setFailure("");
    try {
      const params = { header: { "idempotency-key": key.current } };
      setStep((await answer(() => gateway.POST("/orders", { params, body }))) as Order);
    } catch (error) {
      const { message } = error as Error;
      const uncertain = error instanceof Refusal && error.isUncertain;
      setFailure(uncertain ? `${message} Placing it again is safe: it stays one order.` : message);
    } finally {
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (step === "confirm") void place();
    else setStep("confirm");
  };
  const again = () => {
    key.current = newKey();
    setFailure("");
    setStep("fill-in");
  };
  const verb = side === "buy" ? "Buy" : "Sell";

  if (typeof step === "object") {
    return (
      <Dialog name="ticket" title="Order" onClose={onClose}>
        <div className="inside" role="status">
          <Outcome order={orders.find((order) => order.id === step.id) ?? step} decimals={row?.decimals} />
          <p className="buttons">
            <button type="button" className="primary" autoFocus onClick={onClose}>
              Done
            </button>
            <button type="button" onClick={again}>
              Another order
            </button>
          </p>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog name="ticket" title={step === "confirm" ? "Place this order?" : "New order"} onClose={onClose}>
      <form className="inside" onSubmit={submit}>
        {step === "confirm" ? (
          <dl className="summary" aria-label="The order" tabIndex={-1} ref={summary}>
            <div>
              <dt className={`side ${side}`}>{verb}</dt>
              <dd>
                {format.quantity(body.quantity)} {symbol}
              </dd>
            </div>
            <div>
              <dt>Type</dt>
              <dd>
                {format.words(type)}
                {hasStop && `, stop at ${format.price(Number(stop), row?.decimals)}`}
                {hasLimit && `, at ${format.price(Number(limit), row?.decimals)} or better`}
              </dd>
            </div>
            <div>
              <dt>Holds</dt>
              <dd>{FORCES.find(([name]) => name === force)?.[1]}</dd>
            </div>
            <div>
              <dt>Worth about</dt>
              <dd>{format.money(worth, currency)}</dd>
            </div>
          </dl>
        ) : (
          <>
            <fieldset className="segments sides">
              <legend className="hidden">
                Side
              </legend>
              {(["buy", "sell"] as const).map((one) => (
                <label key={one} className={one}>
                  <input type="radio" name="side" className="hidden" checked={one === side} onChange={() => setSide(one)} />
                  {one === "buy" ? "Buy" : "Sell"}
                </label>
              ))}
            </fieldset>
            <div className="fields">
              <Choice label="Instrument" value={symbol} options={symbols.map((name) => [name, name])} onText={setSymbol} />
              <Field
                label="Quantity"
                type="number"
                inputMode="decimal"
                min={0}
                step="any"
                required
                value={quantity}
                onText={setQuantity}
              />
              <Choice label="Type" value={type} options={TYPES} onText={(text) => setType(text as typeof type)} />
              <Choice label="Holds" value={force} options={FORCES} onText={(text) => setForce(text as typeof force)} />
              {hasStop && (
                <Field label="Stop price" type="number" inputMode="decimal" min={0} step="any" required value={stop} onText={setStop} />
              )}
              {hasLimit && (
                <Field label="Limit price" type="number" inputMode="decimal" min={0} step="any" required value={limit} onText={setLimit} />
              )}
            </div>
            <p className="quote">
              <span className="quiet">Last</span> {format.price(row?.price, row?.decimals)}
              <span className="quiet">Bid / ask</span> {format.price(row?.bid, row?.decimals)} / {format.price(row?.ask, row?.decimals)}
              <span className="quiet">Worth about</span> {format.money(worth || null, currency)}
            </p>
          </>
        )}
        <Failure>{failure}</Failure>
        {blind && <p className="failure">Market data is not current, so nothing can be ordered.</p>}
        <p className="buttons">
          <button type="submit" className={`primary ${side}`} disabled={busy || blind}>
            {step === "confirm" ? `Place the order` : `Review: ${verb.toLowerCase()} ${symbol}`}
          </button>
          <button type="button" onClick={step === "confirm" ? again : onClose}>
            {step === "confirm" ? "Change it" : "Cancel"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

function Outcome({ order, decimals }: { order: Order; decimals: number | undefined }) {
  const bad = order.status === "denied" || order.status === "rejected";
  return (
    <>
      <p>
        <span className={`side ${order.side}`}>{order.side}</span> {format.quantity(order.quantity)} {order.symbol}{" "}
        <span className={`tag ${bad ? "bad" : order.status === "filled" ? "good" : "open"}`}>{format.words(order.status)}</span>
      </p>
      <p className="quiet">
        {bad
          ? `It was not placed: ${format.words(order.reason ?? "no reason was given")}.`
          : order.average_price !== null
            ? `${format.quantity(order.filled)} at ${format.price(order.average_price, decimals)}.`
            : "It is with the venue. What becomes of it is under Orders."}
      </p>
    </>
  );
}
