"""A Redis server: where it is, how to get in, and what its troubles mean.

Trouble is of two kinds. A server that is away, starts, or is full for a moment is waited for, with growing pauses (`Pauses`). A wrong
password, an unknown name, a command that is refused do not mend themselves: `RedisServer.verdict` gives them an error with a remedy.
"""

import asyncio
import random
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    DataError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from openbell.errors import OpenbellError

log = structlog.get_logger("redis")

Failure = TypeVar("Failure", bound=OpenbellError)
#: What a command can raise: Redis's own errors, and the network's (a timeout is one of them).
TROUBLE = (RedisError, OSError)
#: How long a connection, and an answer, may take.
TIMEOUT_S = 5.0
#: Pauses before the next attempt: the first, doubled up to the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 2.0
#: How long a name that nobody knows is asked for again: a name server may be slow to know a new machine.
PATIENCE_S = 10.0
#: Answers that say "later" and have no class of their own.
_LATER = ("MISCONF", "BUSY", "max number of clients", "UNKILLABLE", "NOREPLICAS")
_PASSING = (ClusterDownError, NoScriptError, OutOfMemoryError, ReadOnlyError, TryAgainError)


class Place(Protocol):
    """Where a server is and how to get in: what the settings say."""

    @property
    def host(self) -> str:
        """Name or address of the machine."""

    @property
    def port(self) -> int:
        """Port of the server."""

    @property
    def password(self) -> str:
        """Password of the default user, empty for none."""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where a Redis server is (version 7 or newer), how to get in, and what it is told we are called. Its text has no password."""

    host: str = "localhost"
    port: int = 6379
    password: str = field(default="", repr=False)
    tls: bool = False
    client_name: str = "openbell"

    @classmethod
    def at(cls, place: Place, client_name: str = "openbell") -> "RedisServer":
        """The server that the settings name."""
        return cls(place.host, place.port, place.password, place.tls, re.sub(r"[^!-~]", "-", client_name))

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    def connection(self) -> Connection:
        """A connection that is not made yet, for `RedisLink`."""
        kind = SSLConnection if self.tls else Connection
        return kind(
            host=self.host, port=self.port, password=self.password or None, client_name=self.client_name, driver_info=None, protocol=2,
            socket_timeout=None, socket_connect_timeout=TIMEOUT_S, socket_read_size=1 << 18, retry=Retry(NoBackoff(), 0),
        )  # fmt: skip

    def client(self, connections: int = 16, timeout_s: float = 1.0) -> Redis:
        """A client with a pool of connections, for questions that may be asked again when a connection breaks."""
        pool = BlockingConnectionPool(
            connections, timeout_s, SSLConnection if self.tls else Connection, host=self.host, port=self.port,
            password=self.password or None, client_name=self.client_name, driver_info=None, protocol=2, socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s, retry=Retry(ExponentialBackoff(0.2, 0.01), 3),
        )  # fmt: skip
        return Redis.from_pool(pool)

    def verdict(self, error: BaseException, kind: type[Failure], is_patient: bool = False) -> Failure | None:
        """The error to raise for trouble that waiting cannot mend, None for trouble that passes; to the patient an unknown name does."""
        causes = list(_causes(error))
        if any(isinstance(cause, AuthenticationError) for cause in causes):
            found = "refuses the password" if self.password else "asks for a password"
            return kind(
                f"Redis at {self.address} {found}", "the one of its `requirepass`", "set OPENBELL_REDIS__PASSWORD, or redis.password"
            )
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return kind(f"Redis at {self.address} does not speak TLS that we trust", do="check redis.tls, the port and the certificate")
        if any(isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME for cause in causes) and not is_patient:
            return kind(f"nobody knows a machine called {self.host}", "the name or address of a Redis server", "set REDIS_ADDR")
        if isinstance(error, InvalidResponse):
            return kind(f"what answers at {self.address} is not Redis", do="set REDIS_ADDR to the address of a Redis server")
        if isinstance(error, NoPermissionError):
            return kind(f"Redis at {self.address} does not allow it: {error}", do="give the user this right with ACL SETUSER")
        if isinstance(error, DataError) or (isinstance(error, ResponseError) and not _passes(error)):
            return kind(f"Redis at {self.address} refused: {error}", "version 7 or newer, and keys that only openbell writes")
        return None


def _passes(error: ResponseError) -> bool:
    return isinstance(error, _PASSING) or str(error).startswith(_LATER)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class Pauses:
    """Growing pauses between attempts; says once in the log what does not work, and once that it works again."""

    def __init__(self, server: RedisServer, work: str) -> None:
        self._server = server
        self._work = work
        self._next = FIRST_PAUSE_S
        self._since = time.monotonic()
        self._did_work = False

    def verdict(self, error: BaseException, kind: type[Failure]) -> Failure | None:
        """As `RedisServer.verdict`, with patience for the name of a machine that may be starting, or is started anew."""
        return self._server.verdict(error, kind, self._did_work or time.monotonic() - self._since < PATIENCE_S)

    async def after(self, error: BaseException) -> None:
        """Wait before the next attempt."""
        if self._next == FIRST_PAUSE_S:
            log.warning("trying again", server=self._server.address, work=self._work, reason=f"{type(error).__name__}: {error}")
        pause, self._next = self._next, min(self._next * 2.0, LONGEST_PAUSE_S)
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # not everybody at once

    def reset(self) -> None:
        """It worked."""
        self._did_work = True
        if self._next != FIRST_PAUSE_S:
            self._next = FIRST_PAUSE_S
            log.info("works again", server=self._server.address, work=self._work)
