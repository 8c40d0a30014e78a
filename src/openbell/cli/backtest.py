"""`openbell backtest`: a strategy over history, on the terminal, as JSON, or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from openbell.errors import UsageError

if TYPE_CHECKING:
    from openbell.backtest.result import Result


def backtest(
    strategy: str,
    /,
    *,
    data: Annotated[list[str] | None, Parameter(negative=(), consume_multiple=True)] = None,
    timeframe: str = "",
    symbols: Annotated[list[str] | None, Parameter(negative=(), consume_multiple=True)] = None,
    cash: float = 100_000.0,
    fee_bps: float = 10.0,
    slippage_bps: float = 0.0,
    latency_ms: float = 0.0,
    currency: str = "USD",
    param: Annotated[list[str] | None, Parameter(negative=())] = None,
    start: str | None = None,
    end: str | None = None,
    bar_timeframe: str = "",
    sort: bool = False,
    drop_bad: bool = False,
    session: str | None = None,
    config: Path | None = None,
    json: Path | None = None,
    report: Path | None = None,
) -> None:
    """Run a strategy over history.

    Parameters
    ----------
    strategy
        A shipped strategy (bollinger, momentum, moving_avg_crossover, rsi) or the path of a file with a Strategy class.
    data
        A shipped data set (btcusdt, us-daily, ...) or the path of a Parquet or CSV file; several are merged in time order.
    timeframe
        Of the strategy's bars, such as 1m; by default that of the bars in the data, 1m for ticks.
    symbols
        Which symbols of the data to use; all by default.
    cash
        Money to start with.
    fee_bps
        Fee of every fill in basis points of its value.
    slippage_bps
        How much worse than the market a market order fills, in basis points.
    latency_ms
        From a decision to the venue.
    currency
        Name of the money.
    param
        A parameter of the strategy as name=value; once for each.
    start
        First moment, ISO time in UTC.
    end
        End of the range (not included), ISO time in UTC.
    bar_timeframe
        Timeframe of the bars in the data, where it cannot be told from them; when the data is ticks, they become candles of it first.
    sort
        Sort data that is not in time order (holds it in memory).
    drop_bad
        Leave out rows that make no sense, and count them, in place of stopping.
    session
        Have the history service of a platform send the data over the bus under this id, in place of reading it here; `data` is then what
        that service has: shipped data sets, files of its folder, or `stored` for the candles of its database. Without `data`, wait for
        a session that somebody else asks for.
    config
        With --session: YAML file of the settings; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.
    json
        Write the result to this file.
    report
        Write a page with charts to this file.
    """
    if data is None and session is None:
        raise UsageError("a backtest without --data", "a data set or a file, such as --data btcusdt")
    params = dict(_pair(text) for text in param or [])
    for target in (json, report):
        if target is not None and not target.absolute().parent.is_dir():
            raise UsageError(f"folder {target.absolute().parent} does not exist", "a folder to write to", "make it first")

    from openbell.backtest import backtest as run
    from openbell.cli.progress import events_progress
    from openbell.model.plan import Venue

    venue = Venue(fee_taker_bps=fee_bps, slippage_bps=slippage_bps, latency_ns=int(latency_ms * 1e6))
    with events_progress(f"{Path(strategy).stem} on {', '.join(data or [f'session {session}'])}") as progress:

        def over(source: object, **choice: Any) -> Result:
            return run(
                strategy,
                source,
                timeframe=timeframe,
                cash=cash,
                params=params,
                venue=venue,
                currency=currency,
                keep_candles=report is not None,
                progress=progress,
                **choice,
            )

        if session is not None:
            from openbell.cli.session import from_session

            result = from_session(session, data, config, over, symbols, bar_timeframe, start, end, sort, drop_bad)
        else:
            assert data is not None, "looked at above"
            result = over(
                data if len(data) > 1 else data[0],
                symbols=symbols,
                start=start,
                end=end,
                bar_timeframe=bar_timeframe,
                sort=sort,
                on_bad="drop" if drop_bad else "raise",
            )
    print(result.summary())
    print(_counts(result))
    for reason, count in result.denials().items():
        print(f"denied {count:,}: {reason}")
    for note in result.notes:
        print(f"note: {note}")
    if json is not None:
        result.write_json(json)
        print(f"result written to {json}")
    if report is not None:
        result.report(report)
        print(f"report written to {report}")


def _counts(result: Result) -> str:
    counts = result.counts
    speed = counts["events"] / max(result.seconds, 1e-9)
    done = ", ".join(f"{counts[name]:,} {name}" for name in ("events", "orders", "fills"))
    return f"{done} in {result.seconds:.2f} s ({speed:,.0f} events/s)"


def _pair(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        return name.strip(), float(value) if equals and name.strip() else _refuse(text)
    except ValueError:
        return name, _refuse(text)


def _refuse(text: str) -> float:
    raise UsageError(f"--param {text}", "name=number, such as fast=20")
