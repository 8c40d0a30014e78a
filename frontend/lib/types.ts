// What the gateway sends, as its routes and its WebSocket document it. Every `ts` is milliseconds since the epoch, UTC.

export type Side = "buy" | "sell";
export type OrderStatus =
  | "submitted"
  | "accepted"
  | "partially_filled"
  | "filled"
  | "canceled"
  | "expired"
  | "rejected"
  | "denied";
export type StrategyState = "active" | "paused" | "halted" | "faulted";
export type StrategyAction = "start" | "pause" | "kill";
export type ServiceState = "running" | "stopped" | "failed" | "done";

export interface Price {
  price: number;
  bid: number | null;
  ask: number | null;
  quantity: number | null;
  ts: number;
}

export interface Candle {
  symbol: string;
  timeframe: string;
  /** Start of the candle. */
  ts: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  vwap: number | null;
  trades: number;
  complete: boolean;
}

export interface Position {
  symbol: string;
  strategy: string;
  quantity: number;
  average_price: number;
  price: number;
  value: number;
  unrealised_pnl: number;
  realised_pnl: number;
}

export interface Portfolio {
  currency: string;
  cash: number;
  equity: number;
  initial_cash: number;
  realised_pnl: number;
  unrealised_pnl: number;
  fees: number;
  ts: number;
  positions: Position[];
}

export interface Order {
  id: string;
  symbol: string;
  strategy: string;
  side: Side;
  type: "market" | "limit" | "stop" | "stop_limit";
  time_in_force: "day" | "gtc" | "ioc" | "fok";
  status: OrderStatus;
  quantity: number;
  filled: number;
  limit_price: number | null;
  stop_price: number | null;
  average_price: number | null;
  reason: string | null;
  ts: number;
}

export interface Fill {
  order_id: string;
  symbol: string;
  strategy: string;
  side: Side;
  quantity: number;
  price: number;
  fee: number;
  realised_pnl: number;
  ts: number;
  seq: number;
}

export interface Signal {
  strategy: string;
  symbol: string;
  side: Side;
  price: number;
  ts: number;
}

export interface Strategy {
  id: string;
  class: string;
  state: StrategyState;
  symbols: string[];
  timeframe: string;
  params: Record<string, number | string | boolean>;
  equity: number;
  initial_cash: number;
  realised_pnl: number;
  orders: number;
  fills: number;
  position_value: number;
}

export interface Service {
  name: string;
  state: ServiceState;
  detail: string;
  processed: number;
  lag_ms: number | null;
  queue: number | null;
}

export type EquityPoint = [ts: number, equity: number];

export interface Snapshot {
  run: string;
  symbols: string[];
  timeframes: string[];
  portfolio: Portfolio;
  strategies: Strategy[];
  services: Service[];
  orders: Order[];
  fills: Fill[];
  prices: Record<string, Price>;
}

/** One WebSocket message; `seq` counts the messages of a connection from the snapshot's 0. */
export type Message = { seq: number } & (
  | { channel: "snapshot"; data: Snapshot }
  | { channel: "prices"; data: Record<string, Price> }
  | { channel: "candles"; data: Candle }
  | { channel: "orders"; data: Order }
  | { channel: "fills"; data: Fill }
  | { channel: "signals"; data: Signal }
  | { channel: "portfolio"; data: Portfolio }
  | { channel: "equity"; data: EquityPoint }
  | { channel: "strategies"; data: Strategy[] }
  | { channel: "services"; data: Service[] }
);
