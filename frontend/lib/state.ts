// Everything the page shows, and the one function that changes it.

import { decimalsOf } from "./format";
import type { Link } from "./stream";
import type {
  Alert,
  Candle,
  EquityPoint,
  Fill,
  Message,
  Order,
  Portfolio,
  Price,
  Service,
  Signal,
  Snapshot,
  Strategy,
} from "./types";

const KEEP = { candles: 3000, equity: 4000, fills: 500, orders: 200, signals: 100, came: 50 };

/** A last price with the direction of its latest change and the decimals this instrument has shown so far. */
export interface PriceRow extends Price {
  direction: -1 | 0 | 1;
  decimals: number;
}

export interface Chart {
  symbol: string;
  timeframe: string;
  candles: Candle[];
  /** Counts loads of history: a chart that sees a new one draws from the start. */
  revision: number;
  status: "loading" | "ready" | "failed";
  failure: string;
}

export interface State {
  link: Link;
  /** Counts snapshots; 0 until the first one. */
  generation: number;
  /** When market data last arrived here, by this machine's clock; null until it does. */
  heardAt: number | null;
  run: string;
  symbols: string[];
  timeframes: string[];
  prices: Record<string, PriceRow>;
  portfolio: Portfolio | null;
  equity: EquityPoint[];
  orders: Order[];
  fills: Fill[];
  signals: Signal[];
  /** Alerts that came while the page was open, newest first, and how many in all. */
  came: Alert[];
  cameCount: number;
  strategies: Strategy[];
  services: Service[];
  chart: Chart;
}

export type Action =
  | { type: "link"; link: Link }
  | { type: "messages"; messages: Message[]; now: number }
  | { type: "choose"; symbol: string; timeframe: string }
  | { type: "candles"; symbol: string; timeframe: string; candles: Candle[] }
  | { type: "candles-failed"; symbol: string; timeframe: string; failure: string }
  | { type: "equity"; points: EquityPoint[] }
  | { type: "strategy"; id: string; state: string };

export const START: State = {
  link: { phase: "connecting" },
  generation: 0,
  heardAt: null,
  run: "",
  symbols: [],
  timeframes: [],
  prices: {},
  portfolio: null,
  equity: [],
  orders: [],
  fills: [],
  signals: [],
  came: [],
  cameCount: 0,
  strategies: [],
  services: [],
  chart: { symbol: "", timeframe: "", candles: [], revision: 0, status: "loading", failure: "" },
};

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "link":
      return { ...state, link: action.link };
    case "messages":
      return action.messages.reduce((before, message) => receive(before, message, action.now), state);
    case "choose":
      return { ...state, chart: emptyChart(state.chart, action.symbol, action.timeframe) };
    case "candles": {
      if (!shows(state.chart, action)) return state;
      const candles = state.chart.candles.reduce(mergeCandle, action.candles);
      const revision = state.chart.revision + 1;
      return { ...state, chart: { ...state.chart, candles, revision, status: "ready", failure: "" } };
    }
    case "candles-failed":
      if (!shows(state.chart, action)) return state;
      return { ...state, chart: { ...state.chart, status: "failed", failure: action.failure } };
    case "equity":
      return { ...state, equity: action.points.reduce(mergePoint, [] as EquityPoint[]) };
    case "strategy": {
      const strategies = state.strategies.map((one) =>
        one.id === action.id ? { ...one, state: action.state } : one,
      );
      return { ...state, strategies };
    }
  }
}

function receive(state: State, message: Message, now: number): State {
  switch (message.channel) {
    case "snapshot":
      return restore(state, message.data);
    case "prices":
      return { ...state, prices: mergePrices(state.prices, message.data), heardAt: now };
    case "candles": {
      if (!shows(state.chart, message.data)) return state;
      const candles = mergeCandle(state.chart.candles, message.data);
      return { ...state, chart: { ...state.chart, candles }, heardAt: now };
    }
    case "orders":
      return { ...state, orders: mergeOrder(state.orders, message.data) };
    case "fills":
      return { ...state, fills: [message.data, ...state.fills].slice(0, KEEP.fills) };
    case "signals":
      return { ...state, signals: [message.data, ...state.signals].slice(0, KEEP.signals) };
    case "alerts":
      return { ...state, came: [message.data, ...state.came].slice(0, KEEP.came), cameCount: state.cameCount + 1 };
    case "portfolio":
      return { ...state, portfolio: message.data };
    case "equity":
      return { ...state, equity: mergePoint(state.equity, message.data) };
    case "strategies":
      return { ...state, strategies: message.data };
    case "services":
      return { ...state, services: message.data };
    default:
      return state;
  }
}

/** A snapshot replaces everything but the choice of chart and, within a run, what only the stream has told. */
function restore(state: State, data: Snapshot): State {
  const { symbol, timeframe } = state.chart;
  const sameRun = data.run === state.run;
  const chosen = data.symbols.includes(symbol) ? symbol : (data.symbols[0] ?? "");
  const period = data.timeframes.includes(timeframe) ? timeframe : preferred(data, chosen);
  const sameChart = sameRun && chosen === symbol && period === timeframe;
  return {
    ...state,
    generation: state.generation + 1,
    run: data.run,
    symbols: data.symbols,
    timeframes: data.timeframes,
    prices: mergePrices(sameRun ? state.prices : {}, data.prices),
    portfolio: data.portfolio,
    equity: sameRun ? state.equity : [],
    orders: data.orders.toSorted((a, b) => b.ts - a.ts).slice(0, KEEP.orders),
    fills: data.fills.toSorted((a, b) => b.ts - a.ts || b.seq - a.seq).slice(0, KEEP.fills),
    signals: sameRun ? state.signals : [],
    strategies: data.strategies,
    services: data.services,
    chart: sameChart ? state.chart : emptyChart(state.chart, chosen, period),
  };
}

/** The timeframe that the symbol's strategies decide on, else a minute, else the shortest. */
function preferred({ timeframes, strategies }: Snapshot, symbol: string): string {
  const traded = strategies.findLast((one) => one.symbols.includes(symbol) && timeframes.includes(one.timeframe));
  return traded?.timeframe ?? (timeframes.includes("1m") ? "1m" : (timeframes[0] ?? ""));
}

function emptyChart(before: Chart, symbol: string, timeframe: string): Chart {
  return { symbol, timeframe, candles: [], revision: before.revision + 1, status: "loading", failure: "" };
}

function shows(chart: Chart, other: { symbol: string; timeframe: string }): boolean {
  return chart.symbol === other.symbol && chart.timeframe === other.timeframe;
}

function mergePrices(rows: Record<string, PriceRow>, news: Record<string, Price>): Record<string, PriceRow> {
  const merged = { ...rows };
  for (const [symbol, price] of Object.entries(news)) {
    const before = rows[symbol];
    const moved = before && before.price !== price.price;
    merged[symbol] = {
      ...price,
      direction: moved ? (price.price > before.price ? 1 : -1) : (before?.direction ?? 0),
      decimals: Math.max(before?.decimals ?? 2, decimalsOf(price.price)),
    };
  }
  return merged;
}

/** Puts a candle in its place by time; of two versions of one candle the one with more trades is the newer. */
function mergeCandle(candles: Candle[], candle: Candle): Candle[] {
  let at = candles.length;
  while (at > 0 && candles[at - 1]!.ts > candle.ts) at--;
  const same = at > 0 && candles[at - 1]!.ts === candle.ts ? candles[at - 1]! : null;
  if (same && (same.complete || same.trades > candle.trades)) return candles;
  const merged = candles.slice(-KEEP.candles);
  at -= candles.length - merged.length;
  merged.splice(same ? at - 1 : at, same ? 1 : 0, candle);
  return merged;
}

function mergeOrder(orders: Order[], order: Order): Order[] {
  const known = orders.findIndex((one) => one.id === order.id);
  return known < 0 ? [order, ...orders].slice(0, KEEP.orders) : orders.with(known, order);
}

/** One point a second, the latest wins: the curve's time axis knows no smaller step. */
function mergePoint(points: EquityPoint[], point: EquityPoint): EquityPoint[] {
  const last = points.at(-1);
  if (!last) return [point];
  const [second, before] = [Math.floor(point[0] / 1000), Math.floor(last[0] / 1000)];
  if (second < before) return points;
  return second === before ? points.with(-1, point) : [...points.slice(-KEEP.equity), point];
}

const DAY_MS = 86_400_000;

/** Equity when the day (UTC, by the market's clock) began: the last point before it, or the starting cash. */
export function equityAtDayStart(equity: EquityPoint[], portfolio: Portfolio): number {
  const start = Math.floor(portfolio.ts / DAY_MS) * DAY_MS;
  return equity.findLast(([ts]) => ts < start)?.[1] ?? portfolio.initial_cash;
}
