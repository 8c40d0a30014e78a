// The gateway's HTTP routes that the page uses. The page is served by the gateway, so its address is our own;
// `next dev` serves the page from elsewhere and has to be told.

import type { Candle, EquityPoint, StrategyAction, StrategyState } from "./types";

const BASE =
  process.env.NODE_ENV === "development" ? (process.env.NEXT_PUBLIC_API ?? "http://127.0.0.1:8081") : "";

export function streamAddress(): string {
  const address = new URL("/ws", BASE || window.location.href);
  address.protocol = address.protocol.replace("http", "ws");
  return address.href;
}

export async function fetchCandles(symbol: string, timeframe: string, signal: AbortSignal): Promise<Candle[]> {
  const query = new URLSearchParams({ timeframe, limit: "1000" });
  const reply = await call<{ candles: Candle[] }>(`/candles/${encodeURIComponent(symbol)}?${query}`, { signal });
  return reply.candles;
}

export async function fetchEquity(signal: AbortSignal): Promise<EquityPoint[]> {
  return (await call<{ points: EquityPoint[] }>("/portfolio/equity?limit=2000", { signal })).points;
}

export function commandStrategy(id: string, action: StrategyAction): Promise<{ id: string; state: StrategyState }> {
  return call(`/strategies/${encodeURIComponent(id)}/${action}`, { method: "POST" });
}

export function cancelOrder(id: string): Promise<unknown> {
  return call(`/orders/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** Calls a route; throws an Error whose message can be shown to a person. */
async function call<T>(path: string, init: RequestInit): Promise<T> {
  let reply: Response;
  try {
    // A form on a hostile page cannot send this header, so the gateway can tell our commands from forged ones.
    reply = await fetch(BASE + path, { ...init, cache: "no-store", headers: { "X-Requested-With": "openbell" } });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Error("The platform did not answer.");
  }
  if (!reply.ok) throw new Error(await complaint(reply));
  return reply.status === 204 ? (undefined as T) : ((await reply.json()) as T);
}

async function complaint(reply: Response): Promise<string> {
  const body: unknown = await reply.json().catch(() => null);
  const detail = body && typeof body === "object" && "detail" in body ? body.detail : null;
  return typeof detail === "string" ? detail : `The platform answered with an error (${reply.status}).`;
}
