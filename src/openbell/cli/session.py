"""The data of a backtest from another process: a session over the bus in place of a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from openbell.errors import UsageError

if TYPE_CHECKING:
    from openbell.adapters.messages.control import DataRequest
    from openbell.services.control.channel import ControlChannel
    from openbell.services.history.reader import SessionEvents
    from openbell.services.processes.edge import Edge

T = TypeVar("T")
#: What stands for the stored candles, where a data set is named otherwise.
STORED = "stored"


def from_session(
    session: str, data: list[str] | None, config: Path | None, work: Callable[[SessionEvents], T],
    symbols: list[str] | None, timeframe: str, start: str | None, end: str | None, sort: bool, drop_bad: bool,
) -> T:  # fmt: skip
    """Do the work on the events of a session: one that is asked for with these choices, or, without `data`, that of somebody else.

    Raises ConfigError without servers in the settings, UsageError and DataError for what cannot be, and what the service answers.
    """
    from openbell.adapters.messages.control import SESSION_PATTERN
    from openbell.cli.connection import over_buses
    from openbell.services.history.reader import follow_session, over_session
    from openbell.services.topics.names import SESSIONS

    if not re.fullmatch(SESSION_PATTERN, session):
        raise UsageError(f"--session {session!r}", "up to 64 letters, digits and . _ -, beginning with a letter or digit")
    if data is not None:
        request = _request(session, data, symbols, timeframe, start, end, sort, drop_bad)
    elif any((symbols, timeframe, start, end, sort, drop_bad)):
        found = f"a backtest without --data, which waits for the session {session} of somebody else"
        raise UsageError(found, "no symbols, bar_timeframe, start, end, sort or drop_bad beside it")

    async def read(edge: Edge, channel: ControlChannel) -> T:
        if data is None:
            print(f"waiting for the session {session}", file=sys.stderr)
            return await follow_session(edge.market, session, work, edge.name(SESSIONS))
        return await over_session(edge.market, channel, request, work, edge.name(SESSIONS))

    return over_buses("backtest", config, read)


def _request(
    session: str, data: list[str], symbols: list[str] | None, timeframe: str, start: str | None, end: str | None, sort: bool, drop_bad: bool
) -> DataRequest:
    from openbell.adapters.messages.control import DataRequest
    from openbell.adapters.stores.history import nanoseconds
    from openbell.services.history.reader import WINDOW

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
