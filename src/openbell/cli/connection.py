"""A command's own connection to the buses of a platform in several processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from openbell.services.control.channel import ControlChannel
    from openbell.services.processes.edge import Edge

T = TypeVar("T")


def over_buses(name: str, config: Path | None, work: Callable[[Edge, ControlChannel], Awaitable[T]]) -> T:
    """Do some work with the buses that the settings name and the control channel on them; ConfigError when there are none.

    `name` is what the others see, such as `cli`. What goes wrong on the way is told on stderr, and only that.
    """
    from openbell.config import LoggingSettings, load_settings
    from openbell.observability import configure_logging
    from openbell.services.control.channel import ControlChannel
    from openbell.services.processes.edge import Edge
    from openbell.services.topics.names import CONTROL

    settings = load_settings(config)
    configure_logging(LoggingSettings(level="ERROR"))

    async def run() -> T:
        edge = Edge(settings, f"openbell-{name}")
        try:
            async with ControlChannel(edge.control, name, edge.name(CONTROL)) as channel:
                return await work(edge, channel)
        finally:
            await edge.close()

    return asyncio.run(run())
