"""The way to a RabbitMQ server: connecting, and telling what waiting mends from what it does not.

aiormq is the client inside aio-pika. Its channels are used directly: a bus wants batches of messages, bounded, in order, and made again
by its own rules after a break, and each of aio-pika's further layers costs as much time a message as all of this.
"""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

import structlog
from aiormq import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    Connection,
    ConnectionClosed,
    ProbableAuthenticationError,
    TransportFactory,
    spec,
)
from aiormq.connection import FrameReceiver, TCPTransportFactory, TLSTransportFactory
from pamqp.base import Frame
from pamqp.frame import FrameTypes, marshal
from yarl import URL

from openbell.errors import BusError

CONNECT_SECONDS = 10.0
#: How long a server that is there may take to open a channel.
ANSWER_SECONDS = 10.0
CLOSE_SECONDS = 2.0
#: The server lets go of a client it has not heard of for two of these, the client of a server for three.
HEARTBEAT_SECONDS = 10
#: What the server answers to a wrong password; and when a virtual host is not there or not for this user, among other things.
REFUSED, NOT_ALLOWED = 403, 530

log = structlog.get_logger("bus")

# What goes wrong is raised or logged by us, once and in words; the library would add a traceback each time.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class Server(Protocol):
    """Where the server is, and as whom to go there: the settings `rabbitmq`."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """The port of AMQP."""

    @property
    def user(self) -> str:
        """As whom."""

    @property
    def password(self) -> str:
        """A secret."""

    @property
    def virtual_host(self) -> str:
        """A part of the server with names of its own."""

    @property
    def tls(self) -> bool:
        """Whether to encrypt."""


class LostError(Exception):
    """A connection or a channel broke. It is made again; nobody outside of this package sees this."""


@contextlib.contextmanager
def on_the_wire() -> Iterator[None]:
    """Whatever the library raises when a connection or a channel breaks is a LostError; a cancellation of our own task stays one.

    The library cancels whoever waits for an answer that will not come; and when a task is cancelled at that very moment, it forgets it.
    """
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    try:
        yield
    except asyncio.CancelledError:
        if task.cancelling():
            raise
        raise LostError("the client library gave up waiting") from None
    except ChannelAccessRefused as error:
        raise BusError(
            f"RabbitMQ refuses: {error}",
            "permission to configure, write and read everything that begins with openbell",
            "let an administrator run: rabbitmqctl set_permissions",
        ) from None
    except (AMQPError, OSError, ChannelInvalidStateError) as error:
        if task.cancelling():
            raise asyncio.CancelledError from None
        raise LostError(reason(error)) from error
    except RuntimeError as error:
        # What the library says of a connection that is closed has no class of its own.
        if not str(error).endswith("closed"):
            raise
        raise LostError(str(error)) from error
    if task.cancelling():
        raise asyncio.CancelledError


def begin(task: Coroutine[Any, Any, None], name: str, fail: Callable[[BusError], None]) -> "asyncio.Task[None]":
    """Start a task of ours that runs until it is cancelled; should it end by an error of our own making, the bus fails with it."""

    def ended(done: "asyncio.Task[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("bus task failed", task=name, error=repr(error), exc_info=error)
            fail(BusError(f"the bus failed while {name}: {error!r}", do="report this with the log"))

    made = asyncio.get_running_loop().create_task(task, name=name)
    made.add_done_callback(ended)
    return made


async def connect(server: Server, name: str) -> Connection:
    """Connect, under a name that the server's lists show; BusError where waiting cannot help, LostError elsewhere."""
    path = "/" if server.virtual_host == "/" else f"/{server.virtual_host}"
    query = {"heartbeat": str(HEARTBEAT_SECONDS), "name": name}
    scheme = "amqps" if server.tls else "amqp"
    url = URL.build(scheme=scheme, user=server.user, password=server.password, host=server.host, port=server.port, path=path, query=query)
    transports = _Transports()
    connection = _Connection(url, transport_factory=transports)
    connection.transports = transports
    try:
        with on_the_wire():
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()
    except LostError as error:
        if error.__cause__ is not None and (hopeless := _refusal(error.__cause__, server)) is not None:
            raise hopeless from None
        raise
    return connection


class _Transports(TransportFactory):
    """The library's, and it keeps hold of what it made: closing a connection whose other end takes nothing would last for ever."""

    writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        kind = TLSTransportFactory if url.scheme == "amqps" else TCPTransportFactory
        reader, self.writer = await kind().create(url, **options)
        return reader, self.writer


class _Connection(Connection):
    """The library's; but when the server answers a step of the greeting by closing, it says why, and not only that this is unexpected."""

    transports: _Transports

    @staticmethod
    async def _rpc(
        request: Frame, writer: asyncio.StreamWriter, frame_receiver: FrameReceiver, wait_response: bool = True
    ) -> FrameTypes | None:
        writer.write(marshal(request, 0))
        await writer.drain()
        if not wait_response:
            return None
        _, _, answer = await frame_receiver.get_frame()
        if isinstance(answer, spec.Connection.Close):
            refused = answer.reply_code == REFUSED
            raise ProbableAuthenticationError(answer.reply_text) if refused else ConnectionClosed(answer.reply_code, answer.reply_text)
        return answer


async def disconnect(connection: Connection) -> None:
    """Say goodbye; a server that does not answer is hung up on."""
    closing = patient(connection.close())
    await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    if not closing.done() and isinstance(connection, _Connection) and connection.transports.writer is not None:
        connection.transports.writer.transport.abort()
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    for _ in range(5):
        await asyncio.sleep(0)  # the library's own tasks end a moment later; cut short by the end of the program, they would complain


def patient(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task for a question to the server that is not to be cancelled: it ends with its connection, and nobody has to wait for it.

    The library closes a channel when a question over it is cancelled; when that question was to close it, the server hears of a channel
    that is not there any more, and ends the connection.
    """

    def ended(done: "asyncio.Task[None]") -> None:
        if not done.cancelled():
            done.exception()

    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(ended)
    return task


def reason(error: BaseException) -> str:
    """What went wrong, in words, without an address in them."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error.__cause__, ssl.SSLError):
        return f"the TLS handshake failed ({error.__cause__.reason})"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def unreachable(server: Server, why: str) -> BusError:
    """The error for a server that was never there."""
    return BusError(
        f"RabbitMQ at {server.host}:{server.port} cannot be reached: {why}",
        "a server that listens there" + (" with TLS" if server.tls else ""),
        "start it, or set OPENBELL_RABBITMQ__HOST and OPENBELL_RABBITMQ__PORT",
    )


def _refusal(error: BaseException, server: Server) -> BusError | None:
    """The error that waiting cannot mend, if it is one."""
    where = f"RabbitMQ at {server.host}:{server.port}"
    if isinstance(error, ProbableAuthenticationError | AuthenticationError):
        return BusError(
            f"{where} refuses user '{server.user}'",
            "a user and a password that it knows",
            "set OPENBELL_RABBITMQ__USER and OPENBELL_RABBITMQ__PASSWORD",
        )
    if isinstance(error, ConnectionClosed) and error.args[:1] == (NOT_ALLOWED,) and "limit" not in str(error.args[-1]):
        return BusError(
            f"{where} does not let user '{server.user}' into virtual host '{server.virtual_host}'",
            "a virtual host that is there, and in which the user has permissions",
            "set OPENBELL_RABBITMQ__VIRTUAL_HOST, or create it with: rabbitmqctl add_vhost",
        )
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return BusError(
            f"{where} has a certificate that cannot be trusted: {error.__cause__.verify_message}",
            "one signed for its name by an authority that this machine knows",
            "have it replaced, or point SSL_CERT_FILE to the authority's certificate",
        )
    return None
