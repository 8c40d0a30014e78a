// Alerts in words and as the gateway takes them.

import * as format from "./format";
import type { Alert, AlertWanted } from "./types";

export const COMPARISONS = [
  ["above", "is at or above"],
  ["below", "is at or below"],
  ["crosses", "crosses"],
  ["crosses_above", "crosses above"],
  ["crosses_below", "crosses below"],
] as const;

/** What may be watched: a kind of the gateway's, with what of it is fixed. */
export const WATCHED = [
  ["price", "price"],
  ["move", "move, %"],
  ["volume", "volume"],
  ["rsi", "RSI"],
  ["sma", "simple average"],
  ["ema", "exponential average"],
  ["macd.histogram", "MACD histogram"],
  ["bollinger.upper", "upper Bollinger band"],
  ["bollinger.lower", "lower Bollinger band"],
  ["atr", "average true range"],
  ["adx", "ADX"],
  ["realised_volatility", "volatility"],
  ["price/sma", "price to its average, %"],
  ["position", "position held"],
  ["drawdown", "drawdown, %"],
] as const;

export type Watched = (typeof WATCHED)[number][0];

/** Seconds of what a window may be. */
export const WINDOWS: Record<string, number> = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400 };
export const COOLDOWNS = [
  ["0", "none"],
  ["60", "1 minute"],
  ["300", "5 minutes"],
  ["3600", "1 hour"],
  ["86400", "1 day"],
] as const;

const LENGTHS: Record<string, number> = { rsi: 14, atr: 14, adx: 14, sma: 20, ema: 20, bollinger: 20, realised_volatility: 20 };

/** Which parts besides the target a thing to watch has. */
export function partsOf(watched: Watched): { window: boolean; timeframe: boolean; length: number | null; symbol: boolean } {
  const [name = ""] = watched.replace("price/", "").split(".");
  const window = watched === "move" || watched === "volume";
  const plain = window || ["price", "position", "drawdown"].includes(watched);
  return { window, timeframe: !plain, length: plain ? null : (LENGTHS[name] ?? null), symbol: watched !== "drawdown" };
}

export interface Draft {
  symbol: string;
  watched: Watched;
  comparison: string;
  target: string;
  window: string;
  timeframe: string;
  length: string;
  every: boolean;
  cooldown: string;
  hysteresis: string;
  expires: string;
  note: string;
}

/** A draft as the gateway takes it. */
export function wantedOf(draft: Draft): AlertWanted {
  const { symbol, watched, comparison, every } = draft;
  const parts = partsOf(watched);
  const series = (name: string, output = "") => ({
    name,
    timeframe: draft.timeframe,
    params: (parts.length === null ? {} : { length: Number(draft.length) || parts.length }) as Record<string, number>,
    ...(output && { output }),
  });
  const [name = "", output = ""] = watched.split(".");
  let [kind, spec]: [string, AlertWanted["spec"]] = ["indicator", null];
  if (watched === "price" || watched === "position" || watched === "drawdown") kind = watched;
  else if (watched === "move" || watched === "volume") [kind, spec] = [watched, { window_s: WINDOWS[draft.window] }];
  else if (watched === "price/sma") spec = { indicator: { name: "price" }, against: series("sma") };
  else spec = { indicator: series(name, output) };
  return {
    symbol: parts.symbol ? symbol : "",
    condition: kind === "price" ? comparison : `${kind}_${comparison}`,
    target_price: Number(draft.target),
    spec,
    mode: every ? "every" : "once",
    cooldown_s: every ? Number(draft.cooldown) : 0,
    hysteresis: every ? Number(draft.hysteresis) || 0 : 0,
    ts_expires: draft.expires ? Date.parse(`${draft.expires}Z`) : null,
    note: draft.note.trim(),
  };
}

/** An alert in one line: "BTCUSDT rsi(14) 5m is at or below 30". */
export function sentence({ symbol, condition, target_price, spec }: Alert): string {
  const found = COMPARISONS.findLast(([name]) => condition === name || condition.endsWith(`_${name}`));
  const [comparison, words] = found ?? [condition, format.words(condition)];
  const kind = condition === comparison ? "price" : condition.slice(0, -comparison.length - 1);
  const per = kind === "move" || kind === "drawdown" ? " %" : "";
  const target = `${format.quantity(target_price)}${per}`;
  const of = spec?.accounts?.length ? ` of ${spec.accounts.join(", ")}` : "";
  if (kind === "drawdown") return `Drawdown${of} ${words} ${target}`;
  if (kind === "price") return `${symbol} ${words} ${target}`;
  if (kind === "position") return `${symbol} position${of} ${words} ${target}`;
  if (kind === "indicator" && spec?.indicator) {
    if (!spec.against) return `${symbol} ${series(spec.indicator)} ${words} ${target}`;
    const offset = target_price === 0 ? "" : `${format.percent(target_price / 100)} from `;
    return `${symbol} ${series(spec.indicator)} ${words} ${offset}${series(spec.against)}`;
  }
  const within = spec?.timeframe ? `in a candle of ${spec.timeframe}` : `within ${duration(spec?.window_s ?? 0)}`;
  return `${symbol} ${kind} ${within} ${words} ${target}`;
}

function series({ name, params, output, timeframe }: { name: string; params?: Record<string, number>; output?: string; timeframe?: string }) {
  const values = Object.values(params ?? {}).map(format.quantity);
  return [`${format.words(name)}${values.length ? `(${values.join(", ")})` : ""}${output ? ` ${output}` : ""}`, timeframe]
    .filter(Boolean)
    .join(" ");
}

export function duration(seconds: number): string {
  const [unit, length] = ([["d", 86_400], ["h", 3600], ["m", 60]] as const).find(([, one]) => seconds % one === 0) ?? ["s", 1];
  return `${seconds / length}${unit}`;
}
