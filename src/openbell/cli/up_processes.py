"""`openbell up --processes`: every service in a process of its own on this machine, until it is stopped."""

import os
import signal
import time
from pathlib import Path
from types import FrameType

from openbell.cli.terminal import Terminal
from openbell.config import Settings
from openbell.services.gateway.server import check_host
from openbell.services.ingest.markets import listings_of
from openbell.services.plans import MAIN, make_plans
from openbell.services.processes.edge import check_buses
from openbell.services.processes.fleet import RPC, Fleet, last_line
from openbell.services.rpc.places import check_place

#: Who reads, in the order in which they are started; the source comes last.
READERS = ("portfolio", "orders", "processor", "analytics", "history", "alerts")
#: How often (seconds) it is looked whether all are alive, and how long one that ended has to wait to be started again.
LOOK_EVERY_S = 0.5
PAUSE_S = 2.0


def run_in_processes(settings: Settings, config: Path | None, fresh: bool) -> None:
    """Start all services, start again what ends by itself, and stop them in order at a signal."""
    check_buses(settings)
    check_host(settings.server)
    for name in ("addr", "alerts_addr"):
        check_place(name, settings)
    folder = Path(settings.trading.data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    traders = list(make_plans(settings.trading, listings_of(settings)))
    again = ("--fresh",) if fresh else ()
    source = ("--feed", settings.feed.source, "--speed", settings.feed.speed)
    server = ("--host", settings.server.host, "--port", str(settings.server.port))
    places = {RPC["alerts"]: settings.grpc.alerts_addr, RPC["gateway"]: settings.grpc.addr}
    stopping: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with Terminal("openbell") as terminal, Fleet(config, folder, {**os.environ, **places}) as fleet:
        with terminal.working("starting the services"):
            for name in READERS:
                fleet.start(name, *source)
            for trader in traders:
                name = "trader" if trader == MAIN else f"trader-{trader}"
                fleet.start("trader", "--trader", trader, *source, *again, name=name)
            fleet.start("gateway", *server, *source)
            fleet.wait_healthy(*fleet.members)
            fleet.start("ingest", *source, *again)
            fleet.wait_healthy("ingest")
        terminal.say(f"openbell: http://{settings.server.host}:{settings.server.port}   (Ctrl-C stops, start again to go on)")
        for member in fleet.members.values():
            terminal.say(f"  {member.name:<12} pid {member.process.pid:<8} http://127.0.0.1:{member.port}/health   {member.log}", dim=True)
        while not stopping:
            time.sleep(LOOK_EVERY_S)
            ended = [member for member in fleet.members.values() if member.process.poll() is not None]
            if ended and not stopping:
                for member in ended:
                    terminal.say(f"{member.name} ended with code {member.process.returncode} and is started again: {last_line(member.log)}")
                time.sleep(PAUSE_S)
                fleet.start_again()
        terminal.say("stopping", dim=True)
        fleet.stop("ingest")
        fleet.stop(*(name for name in fleet.members if name.startswith("trader")))
