import type { Dispatch } from "react";
import type { Action, State } from "@/lib/state";
import { Movers } from "./Movers";
import { Prices } from "./Prices";
import { TabbedPanel } from "./Tabs";
import { Unusual } from "./Unusual";

/** The market: every last price, and what moves most. */
export function Market({ state, dispatch }: { state: State; dispatch: Dispatch<Action> }) {
  const { symbols, prices, chart } = state;
  const tabs = [
    { title: "Last prices", content: <Prices symbols={symbols} prices={prices} chart={chart} dispatch={dispatch} /> },
    { title: "Movers", content: <Movers prices={prices} chart={chart} dispatch={dispatch} /> },
    { title: "Unusual", content: <Unusual chart={chart} dispatch={dispatch} /> },
  ];
  return <TabbedPanel name="prices" label="Market" tabs={tabs} />;
}
