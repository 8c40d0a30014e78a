"""A gateway in a process of its own, on uvloop as always, with prices that change: what the benchmarks of it talk to.

`python -m benchmarks.gateway FOLDER SYMBOLS [--keys]` prints its port and an API key. Each symbol has a tick every tenth of a
second, all of them spread over it; a price's `ts` is in nanoseconds here, by the clock that all processes of the machine share.
"""

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.stores.candles import SqliteCandleStore
from openbell.adapters.stores.database import open_database
from openbell.cli.platform import loop_factory
from openbell.config import LoggingSettings, Settings, StrategySettings, TradingSettings
from openbell.errors import BusError
from openbell.observability import Metrics, configure_logging
from openbell.services.accounts.accounts import Accounts
from openbell.services.accounts.callers import LOCAL
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.owners import Owners
from openbell.services.gateway.server import listen
from openbell.services.gateway.service import GatewayService
from openbell.services.names import Names
from openbell.services.plans import MAIN, make_plan, simulated_listing
from openbell.services.portfolio.service import PortfolioService
from openbell.services.processor.archive import CandleArchive
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.topics.names import PRICES, topics
from openbell.services.views import Price

TICK_S, ROUND_S = 0.005, 0.1


async def serve(folder: Path, symbols: int, with_keys: bool) -> None:
    """Until the process is killed."""
    listed = [f"S{number}" for number in range(symbols)]
    strategies = (StrategySettings("rsi", "rsi", True, tuple(listed), "1m"),)
    settings = Settings(trading=TradingSettings(strategies=strategies, timeframes=("1m",)))
    off = {"sign_in": True, "rate_limit": "1000000/minute", "rate_limit_address": "1000000/minute"} if with_keys else {}
    settings = msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, **off))
    plan = make_plan(settings.trading, tuple(simulated_listing(symbol) for symbol in listed))
    names, bus, metrics = Names(plan), InProcessBus(), Metrics()
    bus.declare(*topics(1_000))
    layer = SpeedLayer(names)
    for symbol in listed:
        layer.restore(symbol, Price(100.0, 99.9, 100.1, 1.0, time.monotonic_ns()), [])

    async def price(symbol: str) -> Price | None:
        return layer.prices.get(symbol)

    async def ask(*_: object) -> object:
        raise BusError("nobody trades here")

    accounts, key = None, "none"
    if with_keys:
        accounts = Accounts(open_database(folder / "users.db"), lambda: None)  # type: ignore[arg-type, return-value]
        _, token = await accounts.people.add(LOCAL, "ann", "trader")
        await accounts.own.first_password(token, "quiet otter under glass")
        _, caller = await accounts.sign_in("ann", "quiet otter under glass")
        key = (await accounts.keys.create(caller, "bench", frozenset({"read"}))).key
    portfolio = PortfolioService(bus, {MAIN: plan}, layer.last_price)
    archive = CandleArchive(SqliteCandleStore(folder / "candles.db"), layer)
    backstage = Backstage(
        names, bus, archive, price, portfolio, ask, lambda: "bench", list, metrics, metrics.text, Owners(accounts=accounts)  # type: ignore[arg-type]
    )  # fmt: skip
    opened = listen("127.0.0.1", 0, "")
    gateway = GatewayService(backstage, opened, None, settings, accounts)
    await gateway.start()
    print(opened.getsockname()[1], key, flush=True)
    await asyncio.gather(gateway.run(), tick(bus, layer))


async def tick(bus: InProcessBus, layer: SpeedLayer) -> None:
    """A part of the symbols at a time."""
    listed, parts = list(layer.prices), round(ROUND_S / TICK_S)
    due, turn = time.monotonic(), 0
    while True:
        due += TICK_S
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
        turn = (turn + 1) % parts
        now = time.monotonic_ns()
        for symbol in listed[turn::parts]:
            known = layer.prices[symbol] = Price(100.0 + now % 1000 / 100, 99.9, 100.1, 1.0, now)
            if bus.has_subscribers(PRICES):
                bus.publish(PRICES, known, symbol)


@dataclass(frozen=True)
class Place:
    """Where a gateway listens, as which process, and a key for it."""

    port: int
    key: str
    pid: int

    @property
    def cpu_s(self) -> float:
        """Seconds of the processor that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mb(self) -> float:
        """Megabytes of memory that it holds."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def files(self) -> int:
        """Files that it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@contextlib.contextmanager
def gateway(symbols: int, with_keys: bool = False) -> Iterator[Place]:
    """One that runs until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.gateway", folder, str(symbols), *(["--keys"] if with_keys else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                port, key = process.stdout.readline().split()
                yield Place(int(port), key, process.pid)
            finally:
                process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("symbols", type=int)
    parser.add_argument("--keys", action="store_true")
    given = parser.parse_args()
    configure_logging(LoggingSettings(level="WARNING"))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(given.folder, given.symbols, given.keys))
