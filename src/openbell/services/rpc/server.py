"""The gRPC server of a process: its services, whether they work (grpc.health.v1), and, where that is wanted, which methods there are."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from openbell.config import Settings
from openbell.errors import PortInUseError
from openbell.observability import Metrics
from openbell.services.gateway.server import parse_address
from openbell.services.rpc.callers import METHODS, Door
from openbell.services.rpc.front import Front
from openbell.services.rpc.places import SERVER_OPTIONS, add_port, check_place
from openbell.services.service import Service

#: Calls at a time, over all connections, and seconds that they get when the process stops.
CALLS_MAX = 1000
GRACE_S = 1.0
#: How often (seconds) it is looked whether the services of the process work.
LOOK_EVERY_S = 0.5

log = structlog.get_logger("rpc")


class Offered(NamedTuple):
    """A service: its descriptor, what makes a server have it, and what does the work."""

    descriptor: Any
    add: Callable[[Any, grpc.aio.Server], None]
    servicer: Any


class RpcService(Service):
    """Serves over gRPC on an address of the settings, `addr` or `alerts_addr`. `healthy` tells whether what is behind it works."""

    name = "grpc"

    def __init__(
        self, place: str, settings: Settings, door: Door, offered: Sequence[Offered], metrics: Metrics, healthy: Callable[[], bool]
    ) -> None:
        super().__init__()
        check_place(place, settings)
        check_methods(offered)
        self._place = place
        self._settings = settings
        self._door = door
        self._offered = tuple(offered)
        self._metrics = metrics
        self._healthy = healthy
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self._counters: dict[tuple[str, str], Any] = {}
        self.port = 0

    async def start(self) -> None:
        """Listen. PortInUseError when another program has the port, ConfigError for certificates that cannot be used."""
        server = grpc.aio.server(interceptors=[Front(self._door, self._count)], options=SERVER_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        for one in self._offered:
            one.add(one.servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._settings.grpc.reflection:
            from grpc_reflection.v1alpha import reflection

            reflection.enable_server_reflection((*self._names(), health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            self.port = add_port(server, self._place, self._settings)
        except RuntimeError:
            raise PortInUseError(
                f"gRPC cannot listen on {self._address}", do=f"stop the program that does, or set OPENBELL_GRPC__{self._place.upper()}"
            ) from None
        await server.start()
        self._server = server

    async def run(self) -> None:
        """Serve until cancelled."""
        said = None
        while True:
            healthy = self._healthy()
            if healthy is not said:
                said = healthy
                response = health_pb2.HealthCheckResponse
                await self._say(response.SERVING if healthy else response.NOT_SERVING)
            await asyncio.sleep(LOOK_EVERY_S)

    async def stop(self) -> None:
        """Let calls that run come to their end, but not for long; streams end at once."""
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(GRACE_S)
            self._server = None
        await self._door.close()

    async def _say(self, status: Any) -> None:
        for name in ("", *self._names()):
            await self._health.set(name, status)

    def _names(self) -> list[str]:
        return [one.descriptor.full_name for one in self._offered]

    def _count(self, method: str, code: str) -> None:
        self.processed += 1
        counter = self._counters.get((method, code))
        if counter is None:
            counter = self._counters[method, code] = self._metrics.calls.labels(method.rpartition("/")[2], code)
        counter.inc()

    @property
    def _address(self) -> str:
        host, port = parse_address(getattr(self._settings.grpc, self._place))
        return f"{host}:{self.port or port}"

    @property
    def detail(self) -> str:
        """Where it listens, and what it has."""
        names = ", ".join(name.rpartition(".")[2].removesuffix("Service").lower() for name in self._names())
        return f"{self._address}{' (TLS)' if self._settings.grpc.tls_cert else ''}: {names}"


def check_methods(offered: Sequence[Offered]) -> None:
    """That every method says which permission it needs."""
    silent = [
        f"/{one.descriptor.full_name}/{method.name}"
        for one in offered
        for method in one.descriptor.methods
        if f"/{one.descriptor.full_name}/{method.name}" not in METHODS
    ]
    assert not silent, f"methods that do not say what they need: {silent}"
