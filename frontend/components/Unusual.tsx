import { type Dispatch, useCallback } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { usePolled } from "@/lib/polled";
import type { Action, Chart } from "@/lib/state";
import type { Anomaly } from "@/lib/types";
import { Failure } from "./Field";
import { Empty } from "./Panel";

const WORDS: Record<Anomaly["kind"], string> = {
  price_jump: "the price jumps",
  volume_burst: "a burst of volume",
  spread_wide: "a wide spread",
  stale: "stands still",
};

/** What is out of the ordinary: jumps, bursts, wide spreads, and what stands still while others trade. */
export function Unusual({ chart, dispatch }: { chart: Chart; dispatch: Dispatch<Action> }) {
  const ask = useCallback(
    (signal: AbortSignal) => answer(() => gateway.GET("/analytics/anomalies", { params: { query: { limit: 30 } }, signal })),
    [],
  );
  const { found, failure } = usePolled(ask);
  const anomalies = found?.anomalies ?? [];
  return (
    <>
      <Failure>{failure}</Failure>
      {anomalies.length === 0 ? (
        !failure && <Empty>{found ? "Nothing out of the ordinary within fifteen minutes." : "Loading…"}</Empty>
      ) : (
        <ul className="unusual">
          {anomalies.map(({ symbol, kind, ts, value, usual, unit }) => (
            <li key={`${symbol} ${kind} ${ts}`}>
              <time dateTime={new Date(ts).toISOString()}>{format.clock(ts)}</time>
              <span>
                <button
                  type="button"
                  className="plain"
                  onClick={() => dispatch({ type: "choose", symbol, timeframe: chart.timeframe })}
                >
                  <strong>{symbol}</strong>
                </button>{" "}
                {WORDS[kind]}
                <small>
                  {format.compact(value)} {unit}, usually {format.compact(usual)}
                </small>
              </span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
