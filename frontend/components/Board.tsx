import { useCallback, useState } from "react";
import { useAlertDesk } from "@/lib/desk";
import { useDataAge, usePlatform } from "@/lib/platform";
import { useTheme } from "@/lib/theme";
import type { Side, Who } from "@/lib/types";
import { Menu } from "./account/Menu";
import { Activity } from "./Activity";
import { Boundary } from "./Boundary";
import { Notifications } from "./channels/Notifications";
import { CandleChart } from "./CandleChart";
import { EquityCurve } from "./EquityCurve";
import { Header } from "./Header";
import { Market } from "./Market";
import { Notice } from "./Notice";
import { Positions } from "./Positions";
import { Proof } from "./Proof";
import { Services } from "./Services";
import { Strategies } from "./Strategies";
import { Ticket } from "./Ticket";
import { Toasts } from "./Toasts";
import { Trading } from "./Trading";

interface Properties {
  who: Who;
  /** Asks anew who is signed in: when the stream ends, the session may have ended too. */
  onCheck: () => Promise<void>;
  onLeave: () => Promise<void>;
}

const always = async () => undefined;

/** All that the page shows of a run, to somebody who may see it. */
export function Board({ who, onCheck, onLeave }: Properties) {
  const { state, dispatch, reconnect, reload } = usePlatform(who.sign_in ? onCheck : always);
  const [theme, toggleTheme] = useTheme();
  const { age, stale } = useDataAge(state.heardAt);
  const { link, chart, portfolio, prices } = state;
  const blind = stale || link.phase !== "live";
  const finished = state.services.some((service) => service.name === "feed" && service.state === "done");

  const desk = useAlertDesk(state.generation, state.came, state.cameCount, who.name);

  const mayTrade = who.permissions.includes("trade");
  const [ordering, setOrdering] = useState<Side | null>(null);
  const closeTicket = useCallback(() => setOrdering(null), []);

  return (
    <>
      <Header
        run={state.run}
        link={link}
        age={age}
        stale={stale}
        finished={finished}
        portfolio={portfolio}
        equity={state.equity}
        theme={theme}
        onTheme={toggleTheme}
      >
        {who.permissions.includes("alerts") && <Notifications />}
        {who.sign_in && <Menu who={who} onChange={onCheck} onLeave={onLeave} />}
      </Header>
      <Notice link={link} age={age} stale={stale} finished={finished} met={state.generation > 0} onRetry={reconnect} />
      <main className={blind && state.generation > 0 ? "board blind" : "board"}>
        <div className="column centre">
          <Boundary of="candle chart">
            <CandleChart
              chart={chart}
              symbols={state.symbols}
              timeframes={state.timeframes}
              fills={state.fills}
              decimals={prices[chart.symbol]?.decimals ?? 2}
              theme={theme}
              dispatch={dispatch}
              onReload={reload}
              onOrder={mayTrade ? setOrdering : undefined}
            />
          </Boundary>
          <Trading state={state} desk={desk} blind={blind} />
        </div>
        <div className="column right">
          <Boundary of="equity curve">
            <EquityCurve points={state.equity} portfolio={portfolio} theme={theme} />
          </Boundary>
          <Strategies strategies={state.strategies} blind={blind} dispatch={dispatch} />
          <Positions portfolio={portfolio} prices={prices} />
        </div>
        <div className="column left">
          <Market state={state} dispatch={dispatch} />
          <Activity fills={state.fills} signals={state.signals} prices={prices} />
        </div>
        <Services services={state.services} />
      </main>
      {ordering && (
        <Ticket
          symbol={chart.symbol}
          symbols={state.symbols}
          side={ordering}
          prices={prices}
          orders={state.orders}
          currency={portfolio?.currency ?? ""}
          blind={blind}
          onClose={closeTicket}
        />
      )}
      <Toasts desk={desk} />
      <Proof secondFactor={who.second_factor} />
      <footer className="imprint">
        <p>
          Charts by <a href="https://www.tradingview.com/">TradingView</a> Lightweight Charts™, © 2025 TradingView, Inc.{" "}
          <a href="/licenses.txt">Licences</a>
        </p>
        <p>
          <a href="/api">API</a>
        </p>
      </footer>
    </>
  );
}
