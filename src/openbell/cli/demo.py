"""`openbell demo`: recorded real ticks through the whole platform, to look at, or at full speed to the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from openbell.config import StrategySettings
    from openbell.services.platform import Platform

#: The recorded session lasts eleven minutes; at this speed half of that.
DEFAULT_SPEED = "2"


def demo(
    *,
    speed: str = DEFAULT_SPEED,
    exit: Annotated[bool, Parameter(negative="")] = False,
    json: Path | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    feed: Literal["recorded", "simulated"] = "recorded",
    fresh: Annotated[bool, Parameter(negative="")] = False,
    processes: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Play recorded real ticks through the whole platform, with a page to watch it on http://127.0.0.1:8081.

    Stop it with Ctrl-C, or kill it: started again, it goes on where it was. A session that has come to its end begins anew.

    Parameters
    ----------
    speed
        Times real time, such as 1, 2 or 20, or max for as fast as it goes.
    exit
        Run to the end of the recording without the page, and exit: a run of its own, which `openbell replay last` then finds. A folder
        named by --data-dir is gone on with where it was (unless --fresh), and ends as if nobody had interrupted it.
    json
        Write what came of it to this file (with --exit).
    port
        Port of the page and the API.
    data_dir
        Folder of the journal and the candles; `data` by default.
    feed
        The recorded session, or a simulated market that never ends.
    fresh
        Begin a new run in place of going on with the last one.
    processes
        With --exit: each service in a process of its own, over the servers that the settings name (scripts/services.sh starts them).
    """
    from openbell.adapters.feeds.replay import parse_speed
    from openbell.errors import UsageError

    parsed = parse_speed(speed)
    if json is not None and not exit:
        raise UsageError("--json was given without --exit", "both", "add --exit")
    if exit and feed == "simulated":
        raise UsageError("--exit was given with a market that never ends", "the recorded session", "leave out --feed simulated")
    if json is not None and not json.absolute().parent.is_dir():
        raise UsageError(f"folder {json.absolute().parent} does not exist", "a folder to write to", "make it first")
    if processes and not exit:
        raise UsageError("--processes was given without --exit", "both", "add --exit; `openbell serve` runs single services")
    if processes:
        from openbell.cli.demo_processes import run_in_processes

        run_in_processes(speed, json, data_dir)
    elif exit:
        from openbell.cli.demo_exit import run_to_the_end

        run_to_the_end(parsed, json, data_dir, fresh)
    else:
        from openbell.cli.platform import serve_demo

        serve_demo(parsed, port, data_dir, feed, fresh)


def strategies() -> tuple[StrategySettings, ...]:
    """What trades in the demo: short averages and tight bands, so that within a minute there is something to see."""
    from openbell.config import StrategySettings

    limits = {"order_value_share": 1.0}

    def strategy(name: str, kind: str, symbols: tuple[str, ...], timeframe: str, **params: float) -> StrategySettings:
        return StrategySettings(
            id=name, strategy=kind, symbols=symbols, timeframe=timeframe, params=params, cash=100_000.0, limits=dict(limits)
        )

    return (
        strategy("crossover", "moving_avg_crossover", ("BTCUSDT",), "1s", short_period=8, long_period=30),
        strategy("rsi", "rsi", ("ETHUSDT",), "1s", period=14, oversold=28, overbought=68),
        strategy("bollinger-btc", "bollinger", ("BTCUSDT",), "5s", period=12, deviations=1.5),
        strategy("bollinger-eth", "bollinger", ("ETHUSDT",), "1s", period=20, deviations=2.0),
    )


def result_of(platform: Platform, seconds: float) -> dict[str, Any]:
    """What came of a run, in the words of `--json`."""
    trader = platform.trader.trader
    head = trader.engine.head
    return {
        "run": trader.id,
        "ticks": int(head["trades"]) + int(head["quotes"]),
        "bars": int(head["bars"]),
        "signals": int(head["signals"]),
        "orders": int(head["orders"]),
        "denials": int(head["denials"]),
        "fills": int(head["fills"]),
        "final_equity": int(head.equity()) / float(head["money_scale"]),
        "seconds": round(seconds, 4),
        "ticks_per_s": round(platform.feed.processed / max(seconds, 1e-9)),
        "decision_hash": trader.decision_hash(),
        "state_hash": trader.state_hash(),
    }
