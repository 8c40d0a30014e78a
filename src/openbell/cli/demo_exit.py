"""The demo without a page: the recording to its end, and what came of it."""

import asyncio
import math
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from openbell.adapters.feeds.replay import ReplayFeed
from openbell.adapters.stores.journal import SqliteJournal
from openbell.cli.demo_strategies import strategies
from openbell.config import LoggingSettings, TradingSettings, load_settings
from openbell.errors import StorageError
from openbell.observability import configure_logging
from openbell.services.ingest.recordings import shipped_session
from openbell.services.plans import make_plan
from openbell.services.platform import Platform
from openbell.services.trader.prepare import prepare
from openbell.services.trader.runs import choose_run, now_ns


def run_to_the_end(speed: float, json: Path | None, data_dir: Path | None, fresh: bool) -> None:
    """Run, print what came of it, and write it as JSON."""
    configure_logging(LoggingSettings(level="WARNING"))
    with ExitStack() as stack:
        folder = data_dir or Path(load_settings().trading.data_dir)
        candles = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openbell-")))
        journal = stack.enter_context(SqliteJournal(folder / "journal.db"))
        source, listings = shipped_session()
        feed = ReplayFeed(source, speed)
        plan = make_plan(TradingSettings(strategies=strategies()), listings)
        # In the common folder a run of its own kind, so that the page's unfinished session stays the newest of its.
        kind, anew = ("demo", fresh) if data_dir else ("recorded", True)
        chosen = choose_run(journal, kind, plan, feed.is_over, anew)
        prepare(plan)
        platform = Platform(plan, feed, journal, chosen.run, candles / "candles-recorded.db", now_ns())
        seconds = asyncio.run(_play(platform))
        result = result_of(platform, seconds)
    if json is not None:
        write_json(json, result)
    place = "at full speed" if math.isinf(speed) else f"at {speed:g}x"
    print(
        f"run {chosen.run} ({chosen.why}): {result['ticks']:,} ticks {place} in {seconds:.2f} s ({result['ticks_per_s']:,}/s), "
        f"{result['orders']:,} orders, {result['fills']:,} fills, {result['denials']:,} denied, final equity {result['final_equity']:,.2f}"
    )
    print(f"decisions {result['decision_hash']}\nstate     {result['state_hash']}")


async def _play(platform: Platform) -> float:
    """Play the feed to its end and drain everything; returns the seconds it took."""
    supervisor = platform.supervisor
    began = time.perf_counter()
    await supervisor.start()
    failed = asyncio.create_task(supervisor.failed.wait())
    await asyncio.wait({failed, supervisor.finished("feed")}, return_when=asyncio.FIRST_COMPLETED)
    failed.cancel()
    await supervisor.stop()
    if supervisor.cause is not None:
        raise supervisor.cause
    return time.perf_counter() - began


def result_of(platform: Platform, seconds: float) -> dict[str, Any]:
    """What came of a run, in the words of `--json`."""
    trader = platform.trader.trader
    head = trader.engine.head
    return {
        "run": trader.id,
        **counts_of(head),
        "seconds": round(seconds, 4),
        "ticks_per_s": round(platform.feed.processed / max(seconds, 1e-9)),
        "decision_hash": trader.decision_hash(),
        "state_hash": trader.state_hash(),
    }


def counts_of(head: Any) -> dict[str, Any]:
    """What a kernel's head says was taken and done, and what the accounts are worth."""
    return {
        "ticks": int(head["trades"]) + int(head["quotes"]),
        "bars": int(head["bars"]),
        "signals": int(head["signals"]),
        "orders": int(head["orders"]),
        "denials": int(head["denials"]),
        "fills": int(head["fills"]),
        "final_equity": int(head.equity()) / float(head["money_scale"]),
    }


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a result; the file is there as a whole or not at all."""
    import msgspec

    try:
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
        part.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", "a folder that can be written", "choose another path") from None
