"use client";

import { Activity } from "@/components/Activity";
import { Boundary } from "@/components/Boundary";
import { CandleChart } from "@/components/CandleChart";
import { EquityCurve } from "@/components/EquityCurve";
import { Header } from "@/components/Header";
import { Notice } from "@/components/Notice";
import { Orders } from "@/components/Orders";
import { Positions } from "@/components/Positions";
import { Prices } from "@/components/Prices";
import { Services } from "@/components/Services";
import { Strategies } from "@/components/Strategies";
import { useDataAge, usePlatform } from "@/lib/platform";
import { useTheme } from "@/lib/theme";

export default function Page() {
  const { state, dispatch, reconnect, reload } = usePlatform();
  const [theme, toggleTheme] = useTheme();
  const { age, stale } = useDataAge(state.heardAt);
  const { link, chart, portfolio, prices } = state;
  const blind = stale || link.phase !== "live";
  const finished = state.services.some((service) => service.name === "feed" && service.state === "done");

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
      />
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
            />
          </Boundary>
          <Orders orders={state.orders} prices={prices} blind={blind} />
        </div>
        <div className="column right">
          <Boundary of="equity curve">
            <EquityCurve points={state.equity} portfolio={portfolio} theme={theme} />
          </Boundary>
          <Strategies strategies={state.strategies} blind={blind} dispatch={dispatch} />
          <Positions portfolio={portfolio} prices={prices} />
        </div>
        <div className="column left">
          <Prices symbols={state.symbols} prices={prices} chart={chart} dispatch={dispatch} />
          <Activity fills={state.fills} signals={state.signals} prices={prices} />
        </div>
        <Services services={state.services} />
      </main>
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
