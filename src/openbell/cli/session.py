"""The data of a backtest from another process: a session over the bus in place of a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from openbell.errors import UsageError

if TYPE_CHECKING:
    from openbell.adapters.messages.control import DataRequest
    from openbell.services.control import ControlChannel
    from openbell.services.processes.edge import Edge
    from openbell.services.session_reader import SessionEvents

T = TypeVar("T")
#: What stands for the stored candles, where a data set is named otherwise.
STORED = "stored"


def session_request(
    session: str, data: list[str], symbols: list[str] | None, timeframe: str, start: str | None, end: str | None, sort: bool, drop_bad: bool
) -> DataRequest:
    """The request of a session, with the choices of the command line. Raises UsageError and DataError for what cannot be."""
    from openbell.adapters.messages.control import SESSION_PATTERN, DataRequest
    from openbell.adapters.stores.history import nanoseconds
    from openbell.services.session_reader import WINDOW

    if not re.fullmatch(SESSION_PATTERN, session):
        raise UsageError(f"--session {session!r}", "up to 64 letters, digits and . _ -, beginning with a letter or digit")
    if any("," in name for name in data) or (STORED in data and len(data) > 1):
        raise UsageError(f"--data {' '.join(data)} with --session", "data sets by their names, or `stored` alone")
    return DataRequest(
        session=session,
        symbols=tuple(symbols or ()),
        timeframe=timeframe,
        start=nanoseconds(start, "start") or 0,
        end=nanoseconds(end, "end") or 0,
        source="" if data == [STORED] else ",".join(data),
        sort=sort,
        drop_bad=drop_bad,
        window=WINDOW,
    )


def over_session(request: DataRequest, config: Path | None, work: Callable[[SessionEvents], T]) -> T:
    """Ask for a session on the buses of the settings, and do the work on its events."""
    from openbell.cli.connection import over_buses
    from openbell.services.session_reader import over_session as over
    from openbell.services.topics import SESSIONS

    async def read(edge: Edge, channel: ControlChannel) -> T:
        return await over(edge.market, channel, request, work, edge.name(SESSIONS))

    return over_buses("backtest", config, read)
