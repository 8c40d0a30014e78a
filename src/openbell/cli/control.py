"""`openbell control`: ask the services of a platform how they stand, hold them and let them go on, tell a feed what to follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from openbell.adapters.messages.control import Control
    from openbell.services.control.channel import ControlChannel
    from openbell.services.processes.edge import Edge

Service = Annotated[str, Parameter(help="Only this service, such as ingest or trader; all by default.")]
Config = Annotated[Path | None, Parameter(help="YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.")]
Wait = Annotated[float, Parameter(help="Seconds in which answers are collected.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]

app = App(name="control", help="Ask running services how they stand, pause and resume them, choose the symbols of a feed.")


@app.command
def status(*, service: Service = "", wait: Wait = 1.0, config: Config = None, json: AsJson = False) -> int:
    """Show how every service of every process stands."""
    from openbell.adapters.messages.control import Status

    return _say(Status(service=service), wait, config, json)


@app.command
def pause(
    *, service: Service = "", strategy: str = "", session: str = "", wait: Wait = 1.0, config: Config = None, json: AsJson = False
) -> int:
    """Hold the feeds and the backtesting sessions, or only what is named, until `resume`.

    Parameters
    ----------
    strategy
        Only this strategy: it opens no position until it is resumed.
    session
        Only this backtesting session.
    """
    from openbell.adapters.messages.control import Pause

    return _say(Pause(service=service, strategy=strategy, session=session), wait, config, json)


@app.command
def resume(
    *, service: Service = "", strategy: str = "", session: str = "", wait: Wait = 1.0, config: Config = None, json: AsJson = False
) -> int:
    """Let what was paused go on.

    Parameters
    ----------
    strategy
        Only this strategy.
    session
        Only this backtesting session.
    """
    from openbell.adapters.messages.control import Resume

    return _say(Resume(service=service, strategy=strategy, session=session), wait, config, json)


@app.command
def ingest(
    action: Literal["subscribe", "unsubscribe"],
    /,
    *symbols: str,
    source: str = "",
    wait: Wait = 1.0,
    config: Config = None,
    json: AsJson = False,
) -> int:
    """Have a feed follow symbols, or no longer.

    Parameters
    ----------
    action
        subscribe or unsubscribe.
    symbols
        Such as AAPL MSFT.
    source
        Name of the feed; every feed by default.
    """
    from openbell.adapters.messages.control import IngestRequest
    from openbell.errors import UsageError

    if not symbols:
        raise UsageError(f"control ingest {action} names no symbols", "at least one, such as AAPL")
    return _say(IngestRequest(action=action, symbols=symbols, source=source), wait, config, json)


def _say(message: Control, wait: float, config: Path | None, json: bool) -> int:
    """Send a message and print what is answered; an answer that is an error makes the command fail with its code."""
    from openbell.adapters.messages.control import ErrorReply
    from openbell.cli.connection import over_buses
    from openbell.errors import BusError
    from openbell.services.control.channel import error_of

    async def ask(edge: Edge, channel: ControlChannel) -> list[Control]:
        return await channel.gather(message, wait)

    replies = over_buses("cli", config, ask)
    if json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(replies), indent=2).decode())
    else:
        _print_table(replies)
    errors = [reply for reply in replies if isinstance(reply, ErrorReply)]
    if errors:
        raise error_of(errors[0])
    if not replies:
        raise BusError(f"nobody answered within {wait:g} s", do="see that the services run, and that they have the same bus settings")
    return 0


def _print_table(replies: list[Control]) -> None:
    """One line a service, by process."""
    from openbell.adapters.messages.control import StatusReply

    rows: list[tuple[Any, ...]] = [("process", "service", "state", "processed", "queue", "lag ms", "detail")]
    for reply in sorted((reply for reply in replies if isinstance(reply, StatusReply)), key=lambda reply: (reply.sender, reply.service)):
        lag = "" if reply.lag_ms is None else f"{reply.lag_ms:,.1f}"
        rows.append((reply.sender, reply.service, reply.state, f"{reply.processed:,}", f"{reply.queue:,}", lag, reply.detail))
    if len(rows) == 1:
        return
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if at in (3, 4, 5) else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
