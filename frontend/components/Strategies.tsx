import { type Dispatch, memo, useContext, useEffect, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { useMay, WhoContext } from "@/lib/session";
import type { Action } from "@/lib/state";
import type { Strategy, StrategyAction } from "@/lib/types";
import { Empty, Panel } from "./Panel";

const TONES: Record<string, string> = { active: "good", paused: "warn", halted: "calm", faulted: "bad" };
const ARMED_MS = 4_000;

interface Properties {
  strategies: Strategy[];
  /** Prices are old or the link is down: only kill may be pressed, as it can lead to no new order. */
  blind: boolean;
  dispatch: Dispatch<Action>;
}

export const Strategies = memo(function Strategies({ strategies, blind, dispatch }: Properties) {
  const hasAccounts = useContext(WhoContext)?.sign_in;
  return (
    <Panel name="strategies" title="Strategies">
      {strategies.length === 0 ? (
        <Empty>{hasAccounts ? "No strategy of this run is yours." : "No strategy is loaded in this run."}</Empty>
      ) : (
        <ul>
          {strategies.map((strategy) => (
            <Card
              key={strategy.id}
              strategy={strategy}
              blind={blind}
              dispatch={dispatch}
            />
          ))}
        </ul>
      )}
    </Panel>
  );
});

interface CardProperties {
  strategy: Strategy;
  blind: boolean;
  dispatch: Dispatch<Action>;
}

function Card({ strategy, blind, dispatch }: CardProperties) {
  const { id, state } = strategy;
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const may = useMay("trade");
  const gain = strategy.equity - strategy.initial_cash;
  const why = blind ? "Off while market data is not current" : undefined;

  const command = async (action: StrategyAction) => {
    setBusy(true);
    setFailure("");
    try {
      const reply = await answer(() =>
        gateway.POST("/strategies/{strategy}/{action}", { params: { path: { strategy: id, action } } }),
      );
      dispatch({ type: "strategy", id, state: reply.state });
    } catch (error) {
      setFailure(`${id} did not ${action}. ${(error as Error).message}`);
    } finally {
      setBusy(false);
    }
  };

  return (
    <li data-strategy={id} aria-label={id}>
      <div className="line">
        <strong>{id}</strong>
        <span className={`tag ${TONES[state] ?? "calm"}`} role="status" data-testid="strategy-state">
          {state}
        </span>
        <span className={`pnl number ${format.tone(gain)}`} title="Realised and open profit and loss, after fees">
          {format.gain(gain)}
        </span>
      </div>
      <p className="quiet facts">
        {strategy.class}, {strategy.symbols.join(" ")}, {strategy.timeframe}
        {Object.entries(strategy.params).map(([name, value]) => (
          <span key={name}>
            {", "}
            {format.words(name)} <b>{typeof value === "number" ? format.quantity(value) : String(value)}</b>
          </span>
        ))}
      </p>
      <div className="line">
        {may && (
          <div className="actions">
            <button type="button" disabled={blind || busy || state === "active"} title={why} onClick={() => command("start")}>
              Start
            </button>
            <button type="button" disabled={blind || busy || state !== "active"} title={why} onClick={() => command("pause")}>
              Pause
            </button>
            <Kill id={id} disabled={busy || state === "halted"} onKill={() => command("kill")} />
          </div>
        )}
        <span className="quiet number counts">
          {strategy.orders} orders, {strategy.fills} fills
        </span>
      </div>
      {failure && (
        <p className="failure" role="alert">
          {failure}
        </p>
      )}
    </li>
  );
}

/** The first click arms, a second within four seconds kills; Escape or leaving the button disarms. Never off on stale data. */
function Kill({ id, disabled, onKill }: { id: string; disabled: boolean; onKill: () => void }) {
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    if (!armed) return;
    const timer = window.setTimeout(() => setArmed(false), ARMED_MS);
    return () => window.clearTimeout(timer);
  }, [armed]);

  return (
    <button
      type="button"
      className={armed ? "kill armed" : "kill"}
      disabled={disabled}
      title={`Cancel the open orders of ${id} and halt it`}
      onKeyDown={(event) => {
        if (event.key === "Escape") setArmed(false);
        if (event.repeat) event.preventDefault(); // a key held down is one press
      }}
      onBlur={() => setArmed(false)}
      onClick={() => {
        if (armed) onKill();
        setArmed(!armed);
      }}
    >
      <span aria-live="assertive">{armed ? "Confirm kill" : "Kill"}</span>
    </button>
  );
}
