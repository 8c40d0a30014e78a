"""The RabbitMQ server of the settings: whether we get in, its version, whether it takes messages, and letters nobody could deal with."""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openbell.config import Settings
from openbell.config.settings import RabbitSettings
from openbell.errors import BusError
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.reach import ANSWER_SECONDS, unreachable, version_of, version_text
from openbell.services.doctor.versions import has_client

if TYPE_CHECKING:
    from aiormq import Connection

VERSION_MIN = (3, 10)
_START = "sudo systemctl start rabbitmq-server    # in a checkout: scripts/services.sh up rabbitmq"
_MOVE = "export OPENBELL_RABBITMQ__HOST=... OPENBELL_RABBITMQ__PORT=...    # where it is"
_LOGIN = "export OPENBELL_RABBITMQ__USER=... OPENBELL_RABBITMQ__PASSWORD=...    # the password of that user"


@dataclass(slots=True)
class Seen:
    """What the server told."""

    version: str = ""
    takes_messages: bool = True
    dead_letters: int = 0


def server(settings: Settings) -> Iterator[Finding]:
    """From the address to the dead letters; the first thing that keeps us out ends it."""
    rabbit = settings.rabbitmq
    if not has_client("aiormq"):
        return
    if (refused := unreachable("RabbitMQ", rabbit.host, rabbit.port, _START, _MOVE)) is not None:
        yield refused
        return
    try:
        seen = asyncio.run(look(rabbit))
    except BusError as error:
        yield problem("RabbitMQ", error.found, error.expected, *_remedy(rabbit, error))
        return
    place = f"{rabbit.host}:{rabbit.port}"
    found = f"{place}, version {seen.version}, user {rabbit.user}, virtual host {rabbit.virtual_host}"
    if version_of(seen.version) < VERSION_MIN:
        yield problem("RabbitMQ", found, f"version {version_text(VERSION_MIN)} or newer", "sudo apt-get install rabbitmq-server")
    else:
        yield ok("RabbitMQ", found)
    if not seen.takes_messages:
        found = f"{place} takes no messages: an alarm about memory or disk, as far as a client can tell"
        yield problem("RabbitMQ", found, "a confirmation", "sudo rabbitmq-diagnostics alarms    # then make room")
    yield letters(seen.dead_letters)


def letters(count: int) -> Finding:
    """What to say about dead letters."""
    if count:
        return warning("dead letters", f"{count:,} waiting for a person", "none", "openbell dead-letters list    # each with its reason")
    return ok("dead letters", "none")


async def look(rabbit: RabbitSettings, letters: str = "") -> Seen:
    """Connect, and try out what the platform does; BusError when the server does not let us.

    `letters` is the queue of dead letters where it has another name than the platform's.
    """
    from openbell.adapters.buses.rabbitmq.server import LostError, connect, disconnect

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await connect(rabbit, "openbell doctor")
    except (LostError, TimeoutError) as error:
        raise _named(rabbit, str(error) or f"no answer within {ANSWER_SECONDS:g} s") from None
    seen = Seen(str(connection.server_properties.get("version", "0")))
    try:
        seen.dead_letters = await _dead_letters(connection, letters)
        await _may_make_queues(rabbit, connection)
        seen.takes_messages = await _takes_messages(connection)
    finally:
        await disconnect(connection)
    return seen


async def _dead_letters(connection: "Connection", queue: str) -> int:
    """How many there are; a queue that nobody needed so far has none."""
    from aiormq import ChannelNotFoundEntity

    from openbell.adapters.buses.rabbitmq.topology import Topology

    channel = await connection.channel(publisher_confirms=False)
    try:
        declared = await channel.queue_declare(queue or Topology().dead_letters.name, passive=True, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return 0
    await channel.close()
    return declared.message_count or 0


async def _may_make_queues(rabbit: RabbitSettings, connection: "Connection") -> None:
    """Make a queue that ends with the connection, as the platform names them; BusError when we may not."""
    from aiormq import ChannelAccessRefused

    channel = await connection.channel(publisher_confirms=False)
    try:
        await channel.queue_declare(f"openbell-doctor.{uuid.uuid4().hex}", exclusive=True, auto_delete=True, timeout=ANSWER_SECONDS)
    except ChannelAccessRefused:
        found = f"RabbitMQ does not permit user '{rabbit.user}' to make queues in virtual host '{rabbit.virtual_host}'"
        raise BusError(found, "permission for everything that begins with openbell") from None
    await channel.close()


async def _takes_messages(connection: "Connection") -> bool:
    """Whether messages are confirmed. They are sent to nobody; under an alarm the server takes the first and no second one."""
    from aiormq import ChannelAccessRefused

    channel = await connection.channel(publisher_confirms=True)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            for _ in range(2):
                await channel.basic_publish(b"", exchange="", routing_key="openbell-doctor.nobody")
            await channel.close()
    except TimeoutError:
        return False
    except ChannelAccessRefused:  # only the platform's own exchanges are open to this user, which is as well
        return True
    return True


def _named(rabbit: RabbitSettings, why: str) -> BusError:
    """What a connection that breaks at its beginning means."""
    place = f"{rabbit.host}:{rabbit.port}"
    if "Connection.OpenOk" in why:
        return BusError(f"RabbitMQ at {place} has no virtual host '{rabbit.virtual_host}'", "one that is there")
    if rabbit.tls:
        return BusError(f"what listens on {place} does not speak AMQP over TLS", "a RabbitMQ server with TLS, or rabbitmq.tls=false")
    return BusError(f"what listens on {place} does not speak AMQP ({why})", "a RabbitMQ server")


def _remedy(rabbit: RabbitSettings, error: BusError) -> list[str]:
    """What to type when the server refuses us."""
    host = rabbit.virtual_host
    permit = f"sudo rabbitmqctl set_permissions -p {host} {rabbit.user} '^openbell' '.*' '.*'"
    if "permit" in error.found:
        return [permit]
    if "virtual host" in error.found:
        return [permit] if host == "/" else [f"sudo rabbitmqctl add_vhost {host}", permit]
    if "refuses user" in error.found:
        return [_LOGIN, f"sudo rabbitmqctl change_password {rabbit.user}    # to set a new one"]
    return [_MOVE]
