// The page's connection to the platform: one reducer fed by the stream, and history fetched when it is needed.

import { type Dispatch, useCallback, useEffect, useReducer, useRef, useState } from "react";
import { answer, gateway, streamAddress } from "./gateway";
import { type Action, reduce, START, type State } from "./state";
import { openStream, type Stream } from "./stream";
import type { EquityPoint } from "./types";

const STALE_AFTER_MS = 5_000;

export interface Platform {
  state: State;
  dispatch: Dispatch<Action>;
  reconnect: () => void;
  reload: () => void;
}

/** `before` is asked ahead of each try to bring a lost stream back. */
export function usePlatform(before: () => Promise<void>): Platform {
  const [state, reduceAction] = useReducer(reduce, START);
  const [attempt, setAttempt] = useState(0);
  const stream = useRef<Stream | null>(null);

  // The reply to a command is newer than the messages that arrived before it, so those go first.
  const dispatch = useCallback((action: Action) => {
    stream.current?.flush();
    reduceAction(action);
  }, []);

  useEffect(() => {
    // The chart is named in the address, so that a reload or a link shows the same one.
    const asked = new URLSearchParams(window.location.hash.slice(1));
    reduceAction({ type: "choose", symbol: asked.get("symbol") ?? "", timeframe: asked.get("timeframe") ?? "" });
    const opened = openStream(
      streamAddress(),
      before,
      (messages) => reduceAction({ type: "messages", messages, now: Date.now() }),
      (link) => reduceAction({ type: "link", link }),
    );
    stream.current = opened;
    return () => opened.close();
  }, [before]);

  const { generation } = state;
  const { symbol, timeframe } = state.chart;
  const connected = generation > 0;

  // Every snapshot may follow a gap, so history is read again with it.
  useEffect(() => {
    if (!connected || !symbol) return;
    const abort = new AbortController();
    const { signal } = abort;
    const params = { path: { symbol }, query: { timeframe, limit: 1000 } };
    answer(() => gateway.GET("/candles/{symbol}", { params, signal })).then(
      ({ candles }) => dispatch({ type: "candles", symbol, timeframe, candles }),
      (error: Error) => {
        if (!abort.signal.aborted) dispatch({ type: "candles-failed", symbol, timeframe, failure: error.message });
      },
    );
    window.history.replaceState(null, "", `#${new URLSearchParams({ symbol, timeframe })}`);
    return () => abort.abort();
  }, [connected, generation, symbol, timeframe, attempt, dispatch]);

  useEffect(() => {
    if (!connected) return;
    const abort = new AbortController();
    const { signal } = abort;
    answer(() => gateway.GET("/portfolio/equity", { params: { query: { limit: 2000 } }, signal })).then(
      ({ points }) => dispatch({ type: "equity", points: points as EquityPoint[] }),
      () => undefined, // the curve then grows from now on
    );
    return () => abort.abort();
  }, [connected, generation, dispatch]);

  const reconnect = useCallback(() => stream.current?.retry(), []);
  const reload = useCallback(() => setAttempt((count) => count + 1), []);
  return { state, dispatch, reconnect, reload };
}

/** Milliseconds since market data last arrived, kept up to date; null before the first. */
export function useDataAge(heardAt: number | null): { age: number | null; stale: boolean } {
  const [now, setNow] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 500);
    return () => window.clearInterval(timer);
  }, []);
  const age = heardAt === null ? null : Math.max(0, now - heardAt);
  return { age, stale: age === null || age > STALE_AFTER_MS };
}
