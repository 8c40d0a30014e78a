// Numbers and times as people read them. Times are UTC: the market's clock, the same for everyone who looks.

const DASH = "–";
const numbers = new Map<string, Intl.NumberFormat>();

function formatter(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = JSON.stringify(options);
  let found = numbers.get(key);
  if (!found) numbers.set(key, (found = new Intl.NumberFormat(undefined, options)));
  return found;
}

/** Decimals a price is written with, at most 8; binary dust beyond 12 digits is not counted. */
export function decimalsOf(value: number): number {
  const [digits = "", exponent = "0"] = Number(value.toPrecision(12)).toString().split("e");
  return Math.max(0, Math.min(8, (digits.split(".")[1]?.length ?? 0) - Number(exponent)));
}

export function price(value: number | null | undefined, decimals = 2): string {
  if (value == null || !Number.isFinite(value)) return DASH;
  return formatter({ minimumFractionDigits: decimals, maximumFractionDigits: decimals }).format(value);
}

export function quantity(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return DASH;
  return formatter({ maximumFractionDigits: 8 }).format(Number(value.toPrecision(12)));
}

export function compact(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return DASH;
  return formatter({ notation: "compact", maximumSignificantDigits: 4 }).format(value);
}

/** Money with its currency: a symbol where the world has one (USD, INR), else the code (USDT). */
export function money(value: number | null | undefined, currency: string, signed = false): string {
  if (value == null || !Number.isFinite(value)) return DASH;
  const sign = signed ? ({ signDisplay: "exceptZero" } as const) : {};
  const cents = { minimumFractionDigits: 2, maximumFractionDigits: 2, ...sign };
  if (!/^[A-Z]{3}$/.test(currency)) return `${formatter(cents).format(value)} ${currency}`.trim();
  return formatter({ style: "currency", currency, currencyDisplay: "narrowSymbol", ...cents }).format(value);
}

/** An amount of money without its currency, signed: for columns that name the currency once. */
export function gain(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return DASH;
  return formatter({ minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" }).format(value);
}

export function percent(value: number): string {
  if (!Number.isFinite(value)) return DASH;
  const places = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return formatter({ style: "percent", signDisplay: "exceptZero", ...places }).format(value);
}

const time = new Intl.DateTimeFormat(undefined, {
  timeZone: "UTC",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const date = new Intl.DateTimeFormat(undefined, { timeZone: "UTC", year: "numeric", month: "short", day: "2-digit" });

export const clock = (ts: number): string => time.format(ts);
export const day = (ts: number): string => date.format(ts);

/** How long ago, in the unit a glance needs. */
export function age(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

/** "up", "down" or "": the class that colours a gain or a loss. */
export function tone(value: number | null | undefined): string {
  return !value ? "" : value > 0 ? "up" : "down";
}

export const words = (name: string): string => name.replaceAll("_", " ");

const short = new Intl.DateTimeFormat(undefined, {
  timeZone: "UTC",
  month: "short",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

/** Day and time, UTC like all times. */
export const moment = (ts: number): string => `${short.format(ts)} UTC`;
