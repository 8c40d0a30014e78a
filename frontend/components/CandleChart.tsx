import {
  CandlestickSeries,
  ColorType,
  createChart,
  createSeriesMarkers,
  CrosshairMode,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  type SeriesMarker,
  type UTCTimestamp,
} from "lightweight-charts";
import { type Dispatch, memo, useEffect, useMemo, useRef, useState } from "react";
import * as format from "@/lib/format";
import type { Action, Chart } from "@/lib/state";
import { colour, type Theme } from "@/lib/theme";
import type { Candle, Fill, Side } from "@/lib/types";
import { Empty } from "./Panel";

interface Properties {
  chart: Chart;
  symbols: string[];
  timeframes: string[];
  fills: Fill[];
  decimals: number;
  theme: Theme;
  dispatch: Dispatch<Action>;
  onReload: () => void;
  /** Opens a ticket; left out for who may not trade. */
  onOrder?: (side: Side) => void;
}

interface Drawing {
  chart: IChartApi;
  candles: ISeriesApi<"Candlestick">;
  volume: ISeriesApi<"Histogram">;
  marks: ISeriesMarkersPluginApi<UTCTimestamp>;
  /** What is drawn, by start time. */
  drawn: Map<number, Candle>;
  newest: number;
  revision: number;
  key: string;
}

export const CandleChart = memo(function CandleChart(properties: Properties) {
  const { chart, symbols, timeframes, fills, decimals, dispatch, onReload, onOrder } = properties;
  const { symbol, timeframe, candles } = chart;
  const choose = (change: { symbol?: string; timeframe?: string }) =>
    dispatch({ type: "choose", symbol, timeframe, ...change });
  const marks = useMemo(
    () => marksOf(fills, symbol, candles),
    // A candle that only changes shape moves no mark.
    [fills, symbol, chart.revision, candles.length],
  );
  const [pointed, setPointed] = useState<number | null>(null);
  const canvas = useDrawing(properties, marks, setPointed);
  const shown = candles.findLast((candle) => pointed === null || candle.ts === pointed) ?? candles.at(-1);

  return (
    <section className="panel chart" aria-label="Chart">
      <div className="head">
        <select
          aria-label="Symbol"
          className="symbol"
          value={symbol}
          disabled={symbols.length === 0}
          onChange={(event) => choose({ symbol: event.target.value })}
        >
          {symbols.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <div className="timeframes" role="group" aria-label="Timeframe">
          {timeframes.map((name) => (
            <button
              key={name}
              type="button"
              aria-pressed={name === timeframe}
              onClick={() => choose({ timeframe: name })}
            >
              {name}
            </button>
          ))}
        </div>
        {onOrder && (
          <div className="deal">
            <button type="button" className="buy" disabled={!symbol} onClick={() => onOrder("buy")}>
              Buy
            </button>
            <button type="button" className="sell" disabled={!symbol} onClick={() => onOrder("sell")}>
              Sell
            </button>
          </div>
        )}
      </div>
      <div className="body">
        {chart.status === "failed" && (
          <p className="failure" role="alert">
            The history of {symbol} could not be loaded. {chart.failure}{" "}
            <button type="button" className="small" onClick={onReload}>
              Try again
            </button>
          </p>
        )}
        {shown && chart.status !== "failed" && <Legend candle={shown} decimals={decimals} />}
        <div
          ref={canvas}
          className="canvas"
          role="group"
          data-testid="candles"
          data-candles={candles.length}
          data-marks={marks.length}
          aria-label={`${symbol} ${timeframe}: ${candles.length} candles, ${marks.length} trade marks`}
        />
        {candles.length === 0 && (
          <div className="veil" role="status">
            <Empty>
              {chart.status === "loading"
                ? "Loading candles…"
                : `No ${timeframe} candles of ${symbol} yet. The first appears with its first trade.`}
            </Empty>
          </div>
        )}
      </div>
    </section>
  );
});

function Legend({ candle, decimals }: { candle: Candle; decimals: number }) {
  const direction = format.tone(candle.close - candle.open);
  const parts: [string, string][] = [
    ["O", format.price(candle.open, decimals)],
    ["H", format.price(candle.high, decimals)],
    ["L", format.price(candle.low, decimals)],
    ["C", format.price(candle.close, decimals)],
    ["Vol", format.compact(candle.volume)],
  ];
  return (
    <dl className="legend" data-testid="legend">
      <div className="when">
        <dt className="hidden">Candle of</dt>
        <dd>{/[dwM]$/.test(candle.timeframe) ? format.day(candle.ts) : format.clock(candle.ts)}</dd>
      </div>
      {parts.map(([name, text]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd className={name === "Vol" ? "" : direction}>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Keeps a lightweight-charts drawing in step with the properties; returns the ref of its element. */
function useDrawing(
  { chart, decimals, theme }: Properties,
  marks: Mark[],
  onPoint: (ts: number | null) => void,
): React.RefObject<HTMLDivElement | null> {
  const element = useRef<HTMLDivElement>(null);
  const drawing = useRef<Drawing | null>(null);

  useEffect(() => {
    if (!element.current) return;
    const made = createChart(element.current, {
      autoSize: true,
      layout: { attributionLogo: true, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { rightOffset: 6, barSpacing: 7, borderVisible: false },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.24 } },
    });
    const candles = made.addSeries(CandlestickSeries, { borderVisible: false });
    const volume = made.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    made.subscribeCrosshairMove(({ time }) => onPoint(time === undefined ? null : Number(time) * 1000));
    const plugin = createSeriesMarkers<UTCTimestamp>(candles as never, []);
    drawing.current = { chart: made, candles, volume, marks: plugin, drawn: new Map(), newest: 0, revision: -1, key: "" };
    return () => {
      drawing.current = null;
      made.remove();
    };
  }, [onPoint]);

  useEffect(() => {
    if (drawing.current && element.current) paint(drawing.current, element.current);
  }, [theme]);

  useEffect(() => {
    drawing.current?.candles.applyOptions({
      priceFormat: { type: "custom", formatter: (value: number) => format.price(value, decimals), minMove: 10 ** -decimals },
    });
  }, [decimals]);

  useEffect(() => {
    if (drawing.current && element.current) draw(drawing.current, chart, element.current);
  }, [chart, theme]);

  useEffect(() => {
    if (!drawing.current || !element.current) return;
    const [buy, sell] = [colour("buy", element.current), colour("sell", element.current)];
    drawing.current.marks.setMarkers(
      marks.map(({ ts, side }): SeriesMarker<UTCTimestamp> => {
        const time = seconds(ts);
        return side === "buy"
          ? { time, position: "belowBar", shape: "arrowUp", color: buy, size: 1.2 }
          : { time, position: "aboveBar", shape: "arrowDown", color: sell, size: 1.2 };
      }),
    );
  }, [marks, theme]);

  return element;
}

const seconds = (ts: number) => Math.floor(ts / 1000) as UTCTimestamp;

function paint({ chart, candles }: Drawing, element: HTMLElement): void {
  const line = colour("line-faint", element);
  const [up, down] = [colour("up", element), colour("down", element)];
  chart.applyOptions({
    layout: {
      background: { type: ColorType.Solid, color: "transparent" },
      textColor: colour("text-quiet", element),
    },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
  });
  candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
}

/** Draws what is new: everything after a load of history or a change of colours, else only the changed candles. */
function draw(drawing: Drawing, { symbol, timeframe, candles, revision }: Chart, element: HTMLElement): void {
  const [up, down] = [colour("up-faint", element), colour("down-faint", element)];
  const key = `${symbol}/${timeframe}`;
  const theme = document.documentElement.dataset.theme;
  const bar = (candle: Candle) => ({ ...candle, time: seconds(candle.ts) });
  const volume = (candle: Candle) => ({
    time: seconds(candle.ts),
    value: candle.volume,
    color: candle.close >= candle.open ? up : down,
  });

  const fresh = freshCandles(drawing.drawn, candles);
  if (fresh === null || drawing.revision !== revision || drawing.key !== `${key} ${theme}`) {
    const moved = !drawing.key.startsWith(`${key} `);
    drawing.candles.setData(candles.map(bar));
    drawing.volume.setData(candles.map(volume));
    drawing.drawn = new Map(candles.map((candle) => [candle.ts, candle]));
    drawing.newest = candles.at(-1)?.ts ?? 0;
    drawing.revision = revision;
    drawing.key = `${key} ${theme}`;
    const timeScale = drawing.chart.timeScale();
    timeScale.applyOptions({ timeVisible: !/[dwM]$/.test(timeframe), secondsVisible: timeframe.endsWith("s") });
    if (moved) timeScale.resetTimeScale();
    return;
  }
  for (const candle of fresh) {
    const correction = candle.ts < drawing.newest;
    drawing.candles.update(bar(candle), correction);
    drawing.volume.update(volume(candle), correction);
    drawing.drawn.set(candle.ts, candle);
    drawing.newest = Math.max(drawing.newest, candle.ts);
  }
}

/** The candles near the end that are new or changed, oldest first; null when one belongs before what is drawn. */
function freshCandles(drawn: Map<number, Candle>, candles: Candle[]): Candle[] | null {
  const fresh: Candle[] = [];
  let known = 0;
  let appended = true;
  for (let at = candles.length - 1; at >= 0 && known < 3; at--) {
    const candle = candles[at]!;
    const before = drawn.get(candle.ts);
    if (before) appended = false;
    else if (!appended) return null;
    if (before === candle) known++;
    else fresh.unshift(candle);
  }
  return fresh;
}

interface Mark {
  ts: number;
  side: Fill["side"];
}

/** One mark a candle and side with a fill in it, oldest first; fills before the first candle are left out. */
function marksOf(fills: Fill[], symbol: string, candles: Candle[]): Mark[] {
  const marks = new Map<string, Mark>();
  let at = candles.length - 1;
  for (const fill of fills.filter((one) => one.symbol === symbol).toSorted((a, b) => b.ts - a.ts)) {
    while (at >= 0 && candles[at]!.ts > fill.ts) at--;
    const candle = candles[at];
    if (!candle) break;
    marks.set(`${candle.ts} ${fill.side}`, { ts: candle.ts, side: fill.side });
  }
  return [...marks.values()].reverse();
}
