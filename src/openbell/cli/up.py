"""`openbell up`: the platform with the settings of configs/config.yaml, the environment and .env."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def up(
    *,
    config: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    feed: str | None = None,
    speed: str | None = None,
    fresh: Annotated[bool, Parameter(negative="")] = False,
    processes: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run the platform until it is stopped.

    Parameters
    ----------
    config
        YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.
    host
        Address to listen on.
    port
        Port of the page and the API.
    data_dir
        Folder of the journal.
    feed
        simulated, recorded, or the path of a file of ticks.
    speed
        Times real time, or max.
    fresh
        Begin a new run in place of going on with the last one.
    processes
        Each service in a process of its own, over the servers that the settings name (scripts/services.sh starts them).
    """
    from openbell.adapters.feeds.replay import parse_speed
    from openbell.cli.platform import Job, open_sockets, serve
    from openbell.cli.terminal import Terminal
    from openbell.config import load_settings
    from openbell.services.ingest.markets import make_feed
    from openbell.services.plans import check_feed, check_fill, symbols_of

    arguments = {
        "server.host": host, "server.port": port, "feed.source": feed, "feed.speed": speed,
        "trading.data_dir": None if data_dir is None else str(data_dir),
    }  # fmt: skip
    settings = load_settings(config, arguments)
    trading = settings.trading
    check_feed(settings.feed, trading.strategies)
    check_fill(trading)
    if processes:
        from openbell.cli.up_processes import run_in_processes

        run_in_processes(settings, config, fresh)
        return
    with Terminal("openbell") as terminal:
        sockets = open_sockets(settings, "openbell up --port 8082", metrics_required=True, say=terminal.say)
        playing, listings = make_feed(
            settings.feed.source, tuple(symbols_of(trading.strategies)), settings.feed.seed, parse_speed(settings.feed.speed)
        )
        candles = Path(settings.database.sqlite_path)
        serve(settings, Job("up", trading, playing, listings, Path(trading.data_dir), candles, fresh, True), sockets, terminal)
