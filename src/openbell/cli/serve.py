"""`openbell serve`: one service of the platform in a process of its own, beside others on this machine or elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    import asyncio
    import socket

    from openbell.config import Settings

Service = Literal["ingest", "processor", "trader", "orders", "portfolio", "history", "analytics", "alerts", "gateway"]


def serve(
    service: Service,
    *,
    config: Path | None = None,
    trader: str = "main",
    host: str | None = None,
    port: int | None = None,
    metrics: str | None = None,
    data_dir: Path | None = None,
    feed: str | None = None,
    speed: str | None = None,
    fresh: Annotated[bool, Parameter(negative="")] = False,
    take_over: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run one service until it is stopped. The servers it needs are in the settings; scripts/services.sh starts them on this machine.

    Parameters
    ----------
    service
        ingest (a feed onto the bus), processor (candles, latest prices), analytics (what moves), trader, orders, portfolio, history,
        alerts, or gateway.
    config
        YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.
    trader
        Which trader to run: the one that trades the strategies whose `trader` is this.
    host
        Address that the gateway listens on.
    port
        Port of the gateway.
    metrics
        Address of /health and /metrics of this process, such as :9091; empty for none.
    data_dir
        Folder of what is kept in files.
    feed
        simulated, recorded, or the path of a file of ticks.
    speed
        Times real time, or max.
    fresh
        ingest: play the feed from its beginning; trader: begin a new run.
    take_over
        trader: go on with the run of one that hangs or cannot be reached; that one is refused whatever it still wants to write.
    """
    from openbell.config import load_settings

    arguments = {
        "server.host": host, "server.port": port, "metrics.addr": metrics, "feed.source": feed, "feed.speed": speed,
        "trading.data_dir": None if data_dir is None else str(data_dir),
    }  # fmt: skip
    run_process(service, load_settings(config, arguments), trader, fresh, take_over)


def run_process(service: Service, settings: Settings, trader: str, fresh: bool, take_over: bool) -> None:
    """Run a service until a signal comes; everything is closed then, whatever happened."""
    import asyncio
    from contextlib import ExitStack

    from openbell.cli.platform import loop_factory
    from openbell.observability import configure_logging
    from openbell.services.gateway.server import check_host, listen, parse_address

    configure_logging(settings.logging)
    with ExitStack() as stack:
        status = gateway = None
        if settings.metrics.addr:
            address = parse_address(settings.metrics.addr)
            status = stack.enter_context(listen(*address, "stop it, or set METRICS_ADDR to another address, or to nothing for none"))
        if service == "gateway":
            check_host(settings.server)
            gateway = stack.enter_context(listen(settings.server.host, settings.server.port, "stop it, or name another --port"))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(service, settings, trader, fresh, take_over, status, gateway))


async def _run(
    service: Service, settings: Settings, trader: str, fresh: bool, take_over: bool,
    status: socket.socket | None, gateway: socket.socket | None,
) -> None:  # fmt: skip
    import asyncio
    import signal
    from importlib import import_module

    from openbell.services.processes.process import Process

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    process = Process(service, settings, trader, fresh, gateway, take_over)
    async with process.stack:
        await import_module(f"openbell.services.processes.{service}").build(process)
        watching = asyncio.create_task(_until_launcher_is_gone(stop))
        await process.run(stop, status)
        watching.cancel()


async def _until_launcher_is_gone(stop: asyncio.Event) -> None:
    """A service that another process started must not trade on when nobody watches it."""
    import asyncio
    import os

    from openbell.services.processes.fleet import LAUNCHER

    launcher = int(os.environ.get(LAUNCHER, "0"))
    while launcher and os.getppid() == launcher:
        await asyncio.sleep(1.0)
    if launcher:
        stop.set()
