"""The supervisor: starts the services in order, watches them, and stops them stage by stage so that nothing on its way is lost.

It restarts nothing in silence. When a service fails, market data stops: nothing trades on while a part is missing. What is left keeps
serving, to say why.
"""

import asyncio
from collections.abc import Sequence

import structlog

from openbell.adapters.buses.base import Bus
from openbell.errors import OpenbellError
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS, JOURNALED, REQUESTS, TICKS

#: What is closed one after the other when the platform stops, each when everything before it is drained.
STAGES = ((TICKS, REQUESTS), (COMMANDS, JOURNALED))
#: How long the services may take to finish what they have, together.
STOP_SECONDS = 5.0

log = structlog.get_logger("supervisor")


class Supervisor:
    """Runs services: those that read first, the source last."""

    def __init__(self, bus: Bus, services: Sequence[Service]) -> None:
        self.services = tuple(services)
        self.failed = asyncio.Event()
        #: What failed first, None while nothing did.
        self.cause: OpenbellError | None = None
        self._bus = bus
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Start every service in order; when one cannot start, those before it are stopped and its error is raised."""
        started = []
        try:
            for service in self.services:
                started.append(service)
                await service.start()
        except BaseException:
            for service in reversed(started):
                await _stop_one(service)
            raise
        for service in self.services:
            service.state = "running"
            self._tasks[service.name] = asyncio.create_task(self._watch(service), name=service.name)

    async def _watch(self, service: Service) -> None:
        """Run one service and note how it ended."""
        try:
            await service.run()
            service.state = "done"
            log.info("service done", service=service.name, processed=service.processed)
        except asyncio.CancelledError:
            service.state = "stopped"
            raise
        except Exception as error:  # whatever it is, it is told once, and market data stops
            service.state, service.failure = "failed", _told(error)
            self.cause = self.cause or (error if isinstance(error, OpenbellError) else OpenbellError(f"{service.name}: {_told(error)}"))
            log.error("service failed", service=service.name, error=service.failure, exc_info=not isinstance(error, OpenbellError))
            self.failed.set()
            self._stop_source(service)

    def _stop_source(self, failed: Service) -> None:
        source = self.services[-1]
        task = self._tasks.get(source.name)
        if source is not failed and task is not None and not task.done():
            source.failure = f"stopped because {failed.name} failed"
            task.cancel()

    def finished(self, name: str) -> "asyncio.Task[None]":
        """The task of a service: done when it has ended, in whatever way."""
        return self._tasks[name]

    async def stop(self) -> None:
        """The source, then those who read it, then those who read what these say, then the rest; each has what is left of the time."""
        if not self._tasks:
            return
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        await _end(self._tasks[self.services[-1].name], cancel=True, deadline=deadline)
        closed: set[str] = set()
        for topics in STAGES:
            await self._bus.close(*topics)
            closed.update(topics)
            for service in self.services:
                if service.reads and closed.issuperset(service.reads):
                    await _end(self._tasks[service.name], cancel=False, deadline=deadline)
        await self._bus.close()
        for task in self._tasks.values():
            await _end(task, cancel=True, deadline=deadline)
        for service in reversed(self.services):
            await _stop_one(service)
        log.info("stopped", **{service.name: service.state for service in self.services})


async def _end(task: "asyncio.Task[None]", cancel: bool, deadline: float) -> None:
    """Wait for a task until the deadline, then cancel it."""
    if cancel:
        task.cancel()
    left = max(deadline - asyncio.get_running_loop().time(), 0.1)
    await asyncio.wait({task}, timeout=left)
    if not task.done():
        log.warning("service did not end in time", service=task.get_name())
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)


async def _stop_one(service: Service) -> None:
    try:
        await service.stop()
        if service.state in ("running", "done"):
            service.state = "stopped"
    except Exception as error:  # the others still have to be stopped
        service.state, service.failure = "failed", _told(error)
        log.error("service did not stop cleanly", service=service.name, error=service.failure)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, OpenbellError) else f"{type(error).__name__}: {error}"
