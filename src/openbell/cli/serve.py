"""What `openbell demo` and `openbell up` have in common: sockets first, then the platform, then wait for a signal."""

import asyncio
import contextlib
import importlib
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from openbell.adapters.feeds.replay import ReplayFeed
from openbell.adapters.feeds.simulated import SimulatedMarket
from openbell.adapters.stores.journal import SqliteJournal
from openbell.cli.demo import strategies
from openbell.cli.terminal import Terminal
from openbell.config import Settings, TradingSettings, load_settings
from openbell.errors import OpenbellError, PortInUseError
from openbell.observability import configure_logging
from openbell.services.gateway_server import check_host, listen, parse_address
from openbell.services.plans import first_price, make_plan, simulated_listing
from openbell.services.platform import Platform
from openbell.services.prepare import prepare
from openbell.services.recordings import recorded_file, shipped_session
from openbell.services.runs import choose_run, now_ns

log = structlog.get_logger("platform")


def serve_demo(speed: float, port: int | None, data_dir: Path | None, feed: str, fresh: bool) -> None:
    """The demo: shipped strategies and ticks, the settings of the machine for everything else."""
    settings = load_settings(arguments={"server.port": port})
    folder = data_dir or Path(settings.trading.data_dir)
    trading = TradingSettings(strategies=strategies(), event_bus_buffer=settings.trading.event_bus_buffer)
    with Terminal("openbell demo") as terminal:
        opened = open_port(settings, "stop it, or choose another port: openbell demo --port 8082")
        metrics = open_metrics(settings, required=False, say=terminal.say)
        play = make_feed(feed, ("BTCUSDT", "ETHUSDT"), 1, speed)
        candles = folder / f"candles-{feed}.db"
        serve(settings, trading, play, "demo" if feed == "recorded" else "simulated", folder, candles, fresh, (opened, metrics), terminal)


Feed = tuple[ReplayFeed, tuple]  # type: ignore[type-arg]


def make_feed(source: str, symbols: tuple[str, ...], seed: int, speed: float) -> Feed:
    """A feed by the setting `feed.source`, and what it lists."""
    if source == "recorded":
        recording, listings = shipped_session()
        return ReplayFeed(recording, speed), listings
    if source == "simulated":
        listings = tuple(simulated_listing(symbol) for symbol in symbols)
        return ReplayFeed(SimulatedMarket(listings, [first_price(symbol) for symbol in symbols], seed), speed), listings
    recording, listings = recorded_file(source)
    return ReplayFeed(recording, speed), listings


def open_port(settings: Settings, remedy: str) -> socket.socket:
    """The gateway's socket, taken before anything slow begins."""
    check_host(settings.server)
    return listen(settings.server.host, settings.server.port, remedy)


def open_metrics(settings: Settings, required: bool, say: Callable[[str], None]) -> socket.socket | None:
    """The socket of the metrics; when it is in use, an error if they are required, else a line that says so."""
    if not settings.metrics.addr:
        return None
    host, port = parse_address(settings.metrics.addr)
    check_host(type(settings.server)(host=host, public=settings.server.public))
    try:
        return listen(host, port, "stop it, or set METRICS_ADDR to another address, or to nothing for none")
    except PortInUseError as error:
        if required:
            raise
        say(f"no metrics on their own port: {error.found}; they are at /metrics too")
        return None


def serve(
    settings: Settings,
    trading: TradingSettings,
    feed: Feed,
    kind: str,
    folder: Path,
    candles: Path,
    fresh: bool,
    sockets: tuple[socket.socket, socket.socket | None],
    terminal: Terminal,
) -> None:
    """Run the platform until a signal comes; everything is closed then, whatever happened."""
    configure_logging(settings.logging if not terminal.is_live else type(settings.logging)(level="WARNING"))
    with contextlib.ExitStack() as stack:
        for opened in sockets:
            if opened is not None:
                stack.callback(opened.close)
        journal = stack.enter_context(SqliteJournal(folder / "journal.db"))
        plan = make_plan(trading, feed[1])
        run, resumed = choose_run(journal, kind, plan, feed[0], fresh)
        terminal.say(f"run {run} goes on where it stopped" if resumed else f"run {run}", dim=True)
        # Half of the gateway's import waits for nothing that the kernel needs, and the other way round.
        importing = threading.Thread(target=importlib.import_module, args=("openbell.services.gateway",))
        importing.start()
        with terminal.working("preparing the kernel (the very first time this compiles it, for 10 to 20 s)"):
            prepare(plan)
            platform = Platform(plan, feed[0], journal, run, candles, now_ns(), trading.event_bus_buffer)
            importing.join()
            platform.add_gateway(sockets[0], sockets[1], settings.server.allowed_hosts)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_signal(platform, terminal))
        if platform.supervisor.error:
            raise OpenbellError(f"the platform had stopped working: {platform.supervisor.error}")


async def _until_signal(platform: Platform, terminal: Terminal) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await platform.supervisor.start()
    terminal.show(platform)
    telling = asyncio.create_task(terminal.keep_telling(platform))
    log.info("running", address=terminal.address(platform), run=platform.trader.trader.id)
    try:
        await stop.wait()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        terminal.say("stopping", dim=True)
        await platform.supervisor.stop()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
