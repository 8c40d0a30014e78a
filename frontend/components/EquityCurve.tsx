import { BaselineSeries, ColorType, createChart, type IChartApi, type ISeriesApi, type UTCTimestamp } from "lightweight-charts";
import { memo, useEffect, useRef } from "react";
import * as format from "@/lib/format";
import { colour, type Theme } from "@/lib/theme";
import type { EquityPoint, Portfolio } from "@/lib/types";
import { Empty, Panel } from "./Panel";

interface Properties {
  points: EquityPoint[];
  portfolio: Portfolio | null;
  theme: Theme;
}

export const EquityCurve = memo(function EquityCurve({ points, portfolio, theme }: Properties) {
  const element = useRef<HTMLDivElement>(null);
  const drawing = useRef<{ chart: IChartApi; series: ISeriesApi<"Baseline">; length: number } | null>(null);
  const base = portfolio?.initial_cash ?? 0;

  useEffect(() => {
    if (!element.current) return;
    const chart = createChart(element.current, {
      autoSize: true,
      // The candle chart carries the library's mark; a page needs it once.
      layout: { attributionLogo: false, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.1, bottom: 0.1 } },
      handleScroll: false,
      handleScale: false,
    });
    const series = chart.addSeries(BaselineSeries, {
      lineWidth: 2,
      priceLineVisible: false,
      priceFormat: { type: "custom", formatter: (value: number) => format.price(value, 0), minMove: 1 },
    });
    drawing.current = { chart, series, length: 0 };
    return () => {
      drawing.current = null;
      chart.remove();
    };
  }, []);

  useEffect(() => {
    if (!drawing.current || !element.current) return;
    const { chart, series } = drawing.current;
    const look = (name: string) => colour(name, element.current!);
    chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: "transparent" }, textColor: look("text-quiet") },
      grid: { vertLines: { visible: false }, horzLines: { color: look("line-faint") } },
    });
    series.applyOptions({
      baseValue: { type: "price", price: base },
      topLineColor: look("up"),
      topFillColor1: look("up-faint"),
      topFillColor2: look("up-none"),
      bottomLineColor: look("down"),
      bottomFillColor1: look("down-none"),
      bottomFillColor2: look("down-faint"),
    });
  }, [theme, base]);

  useEffect(() => {
    const drawn = drawing.current;
    if (!drawn) return;
    const last = points.at(-1);
    if (last && points.length - drawn.length <= 1 && points.length >= drawn.length && drawn.length > 0) {
      drawn.series.update(dot(last));
    } else {
      drawn.series.setData(points.map(dot));
      drawn.chart.timeScale().fitContent();
    }
    if (points.length !== drawn.length) drawn.chart.timeScale().fitContent();
    drawn.length = points.length;
  }, [points]);

  const last = points.at(-1)?.[1];
  return (
    <Panel
      name="equity"
      title="Equity"
      aside={
        portfolio &&
        base > 0 && (
          <p className="aside">
            <span className={format.tone(portfolio.equity - base)}>{format.percent(portfolio.equity / base - 1)}</span> on{" "}
            {format.money(base, portfolio.currency)}
          </p>
        )
      }
    >
      <div
        ref={element}
        className="canvas"
        role="img"
        data-testid="equity-curve"
        data-points={points.length}
        aria-label={`Equity curve, ${points.length} points${last === undefined ? "" : `, now ${format.price(last)}`}`}
      />
      {points.length === 0 && (
        <div className="veil">
          <Empty>The curve begins with the first valuation.</Empty>
        </div>
      )}
    </Panel>
  );
});

const dot = ([ts, value]: EquityPoint) => ({ time: Math.floor(ts / 1000) as UTCTimestamp, value });
