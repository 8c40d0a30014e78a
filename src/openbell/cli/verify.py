"""`openbell verify`: follow one tick through a running platform, and say where it was lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from openbell.services.verify.gateway import GatewayAddress
    from openbell.services.verify.journey import Report

#: Longest time (seconds) that one stop may be given.
TIMEOUT_MAX = 600.0


def verify(
    *,
    symbol: str = "",
    timeout: float = 5.0,
    url: str = "",
    config: Path | None = None,
    data_dir: Path | None = None,
    feed: str | None = None,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")] = False,
) -> int:
    """Follow one marked tick from the feed's place through every service, with the time at each stop; exits with 1 when it is lost.

    The tick changes no price, no candle and no decision. A platform in one process is watched through its gateway instead.

    Parameters
    ----------
    symbol
        Such as BTCUSDT; by default the first that is listed.
    timeout
        Seconds that each stop is given.
    url
        Address of the gateway; by default where the settings have it listen.
    config
        YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.
    data_dir
        Folder of what the services keep in files.
    feed
        simulated, recorded, or the path of a file of ticks, where the services were started with it.
    """
    import asyncio

    from openbell.config import LoggingSettings, load_settings
    from openbell.errors import UsageError
    from openbell.observability import configure_logging
    from openbell.services.verify.gateway import GatewayAddress

    if not 0.0 < timeout <= TIMEOUT_MAX:
        raise UsageError(f"--timeout is {timeout:g}", f"seconds above 0, at most {TIMEOUT_MAX:g}")
    settings = load_settings(config, {"trading.data_dir": None if data_dir is None else str(data_dir), "feed.source": feed})
    address = GatewayAddress(url) if url else GatewayAddress.of(settings.server)
    configure_logging(LoggingSettings(level="ERROR"))
    in_one_process = settings.bus.market == "inprocess"
    if in_one_process:
        report = asyncio.run(_watch_gateway(address, symbol, timeout))
    else:
        from openbell.services.verify.distributed import follow_tick

        report = asyncio.run(follow_tick(settings, symbol, timeout, address))
    if json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        if in_one_process:
            print(f"bus.market is inprocess: the platform at {address} is watched through its gateway\n")
        print("\n".join(table(report)))
    return 0 if report.arrived else 1


async def _watch_gateway(address: GatewayAddress, symbol: str, timeout: float) -> Report:
    from openbell.services.verify.embedded import watch_gateway

    return await watch_gateway(address, symbol, timeout)


def table(report: Report) -> list[str]:
    """The stops as aligned lines, and what they mean."""
    rows = [("stop", "where", "ms", "")]
    rows += [(stop.name, stop.where, "" if stop.ms is None else f"{stop.ms:,.1f}", stop.state) for stop in report.stops]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) if at == 2 else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return [*(line.rstrip() for line in lines), "", *report.verdict]
