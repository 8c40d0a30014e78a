"""What `openbell demo` and `openbell up` have in common: sockets first, then the platform, then wait for a signal."""

import asyncio
import contextlib
import importlib
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from msgspec.structs import replace

from openbell.adapters.feeds.replay import ReplayFeed
from openbell.adapters.stores.journal import SqliteJournal
from openbell.cli.demo_strategies import strategies
from openbell.cli.terminal import Terminal
from openbell.config import LoggingSettings, ServerSettings, Settings, TradingSettings, load_settings
from openbell.errors import PortInUseError
from openbell.model.plan import Listing
from openbell.observability import configure_logging
from openbell.services.gateway.owners import own_accounts
from openbell.services.gateway.server import check_host, listen, parse_address
from openbell.services.ingest.markets import make_feed
from openbell.services.plans import make_plan
from openbell.services.platform import Platform
from openbell.services.trader.prepare import prepare
from openbell.services.trader.runs import choose_run, now_ns

log = structlog.get_logger("platform")


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: a kind of run, who trades what, and where it is kept."""

    kind: str
    trading: TradingSettings
    feed: ReplayFeed
    listings: tuple[Listing, ...]
    folder: Path
    candles: Path
    fresh: bool
    keep: bool  # go on with the last run although the code has changed


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the gateway listens, and where the metrics do, if they do."""

    gateway: socket.socket
    metrics: socket.socket | None


def serve_demo(speed: float, port: int | None, data_dir: Path | None, source: str, fresh: bool) -> None:
    """The demo: shipped strategies and ticks, the settings of the machine for everything else."""
    settings = load_settings(arguments={"server.port": port})
    folder = data_dir or Path(settings.trading.data_dir)
    own = {name: getattr(settings.trading, name) for name in ("event_bus_buffer", "user_accounts")}
    settings = replace(settings, trading=TradingSettings(strategies=strategies(), **own))
    with Terminal("openbell demo") as terminal:
        sockets = open_sockets(settings, "openbell demo --port 8082", metrics_required=False, say=terminal.say)
        feed, listings = make_feed(source, ("BTCUSDT", "ETHUSDT"), 1, speed)
        kind = "demo" if source == "recorded" else "simulated"
        serve(
            settings, Job(kind, settings.trading, feed, listings, folder, folder / f"candles-{source}.db", fresh, False), sockets, terminal
        )


def open_sockets(settings: Settings, other_port: str, metrics_required: bool, say: Callable[[str], None]) -> Sockets:
    """The sockets, taken before anything slow begins. Metrics that are not required and have no port are told with a line."""
    check_host(settings.server)
    if settings.grpc.enabled:
        from openbell.services.rpc.places import check_place

        check_place("addr", settings)
    gateway = listen(settings.server.host, settings.server.port, f"stop it, or choose another port: {other_port}")
    if not settings.metrics.addr:
        return Sockets(gateway, None)
    host, port = parse_address(settings.metrics.addr)
    check_host(ServerSettings(host=host, public=settings.server.public))
    try:
        return Sockets(gateway, listen(host, port, "stop it, or set METRICS_ADDR to another address, or to nothing for none"))
    except PortInUseError as error:
        if metrics_required:
            raise
        say(f"no metrics on their own port: {error.found}; they are at /metrics too")
        return Sockets(gateway, None)


def serve(settings: Settings, job: Job, sockets: Sockets, terminal: Terminal) -> None:
    """Run the platform until a signal comes; everything is closed then, whatever happened."""
    configure_logging(LoggingSettings(level="WARNING") if terminal.is_live else settings.logging)
    with contextlib.ExitStack() as stack:
        stack.callback(sockets.gateway.close)
        if sockets.metrics is not None:
            stack.callback(sockets.metrics.close)
        journal = stack.enter_context(SqliteJournal(job.folder / "journal.db"))
        plan = make_plan(job.trading, job.listings)
        chosen = choose_run(journal, job.kind, plan, job.feed.is_over, job.fresh, job.keep)
        terminal.say(f"run {chosen.run}: {chosen.why}", dim=True)
        # Half of the gateway's import waits for nothing that the kernel needs, and the other way round.
        importing = threading.Thread(target=importlib.import_module, args=("openbell.services.gateway.service",))
        importing.start()
        with terminal.working("preparing the kernel (the very first time this compiles it, for 10 to 20 s)"):
            prepare(plan)
            platform = Platform(
                plan, job.feed, journal, chosen.run, job.candles, now_ns(), job.trading.event_bus_buffer, own_accounts(settings)
            )
            importing.join()
            platform.add_gateway(sockets.gateway, sockets.metrics, settings)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_until_signal(platform, terminal))
        if platform.supervisor.cause is not None:
            raise platform.supervisor.cause


async def _until_signal(platform: Platform, terminal: Terminal) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await platform.supervisor.start()
    terminal.show(platform)
    telling = asyncio.create_task(terminal.keep_telling(platform))
    log.info("running", address=platform.address, run=platform.trader.trader.id)
    try:
        await stop.wait()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        terminal.say("stopping", dim=True)
        await platform.supervisor.stop()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
