// What the gateway answers with, by the names this page uses. The records are those of its OpenAPI document (lib/openapi.ts); what
// only its WebSocket sends is written here. Every `ts` is milliseconds since the epoch, UTC.

import type { components, operations } from "./openapi";

type Schemas = components["schemas"];

export type Side = Schemas["NewOrder"]["side"];
export type StrategyAction = operations["act_strategies__strategy___action__post"]["parameters"]["path"]["action"];
export type Permission = Schemas["WhoView"]["permissions"][number];

export type Price = Schemas["Price"];
export type Candle = Schemas["Candle"];
export type Position = Schemas["Position"];
export type Portfolio = Schemas["Portfolio"];
export type Order = Schemas["Order"];
export type NewOrder = Schemas["NewOrder"];
export type Fill = Schemas["Fill"];
export type Signal = Schemas["Signal"];
export type Strategy = Schemas["StrategyView"];
export type Service = Schemas["ServiceView"];
export type Alert = Required<Schemas["Alert"]>;
export type AlertWanted = Schemas["AlertWanted"];
export type Mover = Schemas["Mover"];
export type Window = NonNullable<NonNullable<operations["movers_analytics_movers_get"]["parameters"]["query"]>["window"]>;
export type Activity = NonNullable<NonNullable<operations["movers_analytics_movers_get"]["parameters"]["query"]>["by"]>;
export type Anomaly = Schemas["Anomaly"];
export type Root = Schemas["Root"];
export type Who = Schemas["WhoView"];
export type Profile = Schemas["ProfileView"];
export type SignedIn = Schemas["SignedInView"];
export type Key = Schemas["KeyView"];
export type Factor = Schemas["FactorView"];
export type Channel = Schemas["Channel"];
export type Delivery = Schemas["Delivery"];
export type Snapshot = Schemas["Snapshot"];

export type EquityPoint = [ts: number, equity: number];

/** One WebSocket message: its number, and the number of the one before, so that a missing one is noticed. */
export type Message = { seq: number; prev: number | null } & (
  | { channel: "snapshot"; data: Snapshot }
  | { channel: "prices"; data: Record<string, Price> }
  | { channel: "candles"; data: Candle }
  | { channel: "orders"; data: Order }
  | { channel: "fills"; data: Fill }
  | { channel: "signals"; data: Signal }
  | { channel: "alerts"; data: Alert }
  | { channel: "portfolio"; data: Portfolio }
  | { channel: "equity"; data: EquityPoint }
  | { channel: "strategies"; data: Strategy[] }
  | { channel: "services"; data: Service[] }
);
