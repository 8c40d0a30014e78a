import type { AlertDesk } from "@/lib/desk";
import { useMay } from "@/lib/session";
import type { State } from "@/lib/state";
import { AlertHistory, AlertList } from "./alerts/AlertList";
import { NewAlert } from "./alerts/NewAlert";
import { isOpen, Orders } from "./Orders";
import { type Tab, TabbedPanel } from "./Tabs";

interface Properties {
  state: State;
  desk: AlertDesk;
  blind: boolean;
}

/** Orders and alerts: what was asked for, and what came of it. */
export function Trading({ state, desk, blind }: Properties) {
  const { orders, prices, symbols, timeframes, chart } = state;
  const watching = desk.alerts.filter((alert) => alert.status === "active").length;
  const open = orders.filter(isOpen).length;
  const tabs: Tab[] = [
    {
      title: "Orders",
      content: <Orders orders={orders} prices={prices} blind={blind} />,
      aside: orders.length > 0 && <p className="aside">{open} open</p>,
    },
  ];
  if (useMay("alerts")) {
    tabs.push(
      {
        title: "Alerts",
        count: watching,
        content: (
          <>
            <NewAlert desk={desk} symbols={symbols} timeframes={timeframes} symbol={chart.symbol} timeframe={chart.timeframe} />
            <AlertList desk={desk} />
          </>
        ),
      },
      { title: "Alert history", content: <AlertHistory events={desk.events} /> },
    );
  }
  return <TabbedPanel name="orders" label="Orders and alerts" tabs={tabs} />;
}
