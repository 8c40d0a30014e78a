"""The Kafka cluster of the settings: what listens there, whether we get in, its brokers, and the topics' partitions."""

import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from openbell.config import Settings
from openbell.config.settings import KafkaSettings
from openbell.services.doctor.examination import Check, run
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.reach import ANSWER_SECONDS, unreachable
from openbell.services.doctor.versions import has_client

#: The topics of market data whose partitions a setting counts.
TOPICS = ("stock-prices", "commands")
_START = "scripts/services.sh up kafka    # in a checkout; elsewhere: docker compose -f deploy/compose.yaml --profile servers up --detach"
_MOVE = "export OPENBELL_KAFKA__SERVERS=host:port    # where it is; several with commas"
_LOGIN = "export OPENBELL_KAFKA__USER=... OPENBELL_KAFKA__PASSWORD=...    # and OPENBELL_KAFKA__TLS=true where it speaks TLS"
#: The request that asks for versions, and what marks Kafka 2.5: version 3 of InitProducerId.
_API_VERSIONS, _INIT_PRODUCER_ID, _INIT_VERSION = 18, 22, 3
_ANSWER_MAX = 1 << 16
#: How the client library begins what it tells: of which broker, by its number, or `bootstrap` for an address of the settings.
_TOLD = re.compile(r"(?:\w+://)?(?P<host>.+):(?P<port>\d+)/(?P<broker>\w+): (?P<why>.*)")


def server(settings: Settings) -> Iterator[Finding]:
    """From the addresses to the topics; the first thing that keeps us out ends it."""
    kafka = settings.kafka
    if not has_client("confluent_kafka"):
        return
    refused = _each(places(kafka.servers), partial(_listens, tls=kafka.tls))
    yield from refused
    if len(refused) == len(places(kafka.servers)):
        return
    found = ask(kafka)
    if isinstance(found, Finding):
        yield found
        return
    brokers = [(broker.host, broker.port) for broker in found.brokers.values()]
    lost = _each(brokers, _advertised)
    yield from lost
    if not lost:
        yield ok(
            "Kafka", f"{len(brokers)} broker{'s' if len(brokers) > 1 else ''}: {', '.join(f'{host}:{port}' for host, port in brokers)}"
        )
    yield partitions({name: len(topic.partitions) for name, topic in found.topics.items() if name in TOPICS}, settings.bus.partitions)


def places(servers: str) -> list[tuple[str, int]]:
    """The addresses of the setting `kafka.servers`; 9092 where there is no port."""
    found = []
    for text in filter(None, (part.strip() for part in servers.split(","))):
        host, colon, port = text.rpartition(":")
        found.append((host.strip("[]"), int(port)) if colon and port.isdigit() else (text, 9092))
    return found


def partitions(topics: Mapping[str, int], wanted: int) -> Finding:
    """What to say about the topics that are there, by their number of partitions."""
    other = {name: count for name, count in topics.items() if count != wanted}
    if other:
        shown = ", ".join(f"{name} has {count}" for name, count in other.items())
        change = f"export OPENBELL_BUS__PARTITIONS={next(iter(other.values()))}    # in every process alike"
        return warning("Kafka topics", shown, f"{wanted} partitions (bus.partitions)", change)
    if not topics:
        return ok("Kafka topics", f"none yet; the first start makes them with {wanted} partitions")
    return ok("Kafka topics", f"{', '.join(sorted(topics))}: {wanted} partitions")


def versions(host: str, port: int, tls: bool) -> dict[int, int]:
    """The newest version of every request that a broker speaks, by the request's number. ValueError when it is no broker.

    This request is answered before anybody has to log in. https://kafka.apache.org/protocol#The_Messages_ApiVersions
    """
    request = struct.pack(">hhih", _API_VERSIONS, 0, 7, -1)
    with socket.create_connection((host, port), ANSWER_SECONDS) as plain:
        opened = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if tls else plain
        with opened, opened.makefile("rb") as answers:
            opened.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _exactly(answers, 4))
            if not 10 <= size <= _ANSWER_MAX:
                raise ValueError("this is no answer of Kafka")
            body = _exactly(answers, size)
    number, error, count = struct.unpack_from(">ihi", body)
    if number != 7 or error or size != 10 + 6 * count:
        raise ValueError("this is no answer of Kafka")
    return {key: newest for key, _, newest in struct.iter_unpack(">hhh", body[10:])}


def _each(addresses: list[tuple[str, int]], look: Callable[[str, int], Finding | None]) -> tuple[Finding, ...]:
    """The problems with some addresses, which are looked at together: each may take its time."""

    def one(host: str, port: int) -> Iterator[Finding]:
        if (found := look(host, port)) is not None:
            yield found

    return run([Check("", "Kafka", partial(one, host, port)) for host, port in addresses], seconds=2 * ANSWER_SECONDS + 1).findings


def _listens(host: str, port: int, tls: bool) -> Finding | None:
    """The problem with one address of the settings, None when a broker answers there."""
    if (refused := unreachable("Kafka", host, port, _START, _MOVE)) is not None:
        return refused
    try:
        spoken = versions(host, port, tls)
    except (OSError, ValueError) as error:
        kind = "a Kafka broker" + (" with TLS" if tls else "")
        why = "no answer" if isinstance(error, TimeoutError) else str(error)
        return problem("Kafka", f"what listens on {host}:{port} does not answer as Kafka does ({why})", kind, _MOVE, _LOGIN)
    if spoken.get(_INIT_PRODUCER_ID, 0) < _INIT_VERSION:
        return problem(
            "Kafka", f"{host}:{port} is older than Kafka 2.5", "Kafka 2.5 or newer", "docker pull apache/kafka    # or update it"
        )
    return None


def _advertised(host: str, port: int) -> Finding | None:
    """The problem with an address that the cluster itself names, and that cannot be reached from here."""
    refused = unreachable("Kafka", host, port, _START, _MOVE)
    return None if refused is None else _unknown_here(host, port, refused.found)


def _unknown_here(host: str, port: int, why: str) -> Finding:
    listeners = f"# in its server.properties: advertised.listeners=PLAINTEXT://NAME:{port}, with a NAME that is known here"
    found = f"the cluster says a broker is at {host}:{port}; {why}"
    return problem("Kafka", found, "an address that can be reached from here", listeners)


def ask(kafka: KafkaSettings) -> Any:
    """The cluster's metadata, or the problem why we do not get it."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    from openbell.adapters.buses.kafka.connection import REFUSED, configuration

    heard: list[KafkaError] = []
    client = AdminClient({**configuration(kafka, "doctor", heard.append), "socket.timeout.ms": int(ANSWER_SECONDS * 1000)})
    try:
        return client.list_topics(timeout=ANSWER_SECONDS)
    except KafkaException as error:
        client.poll(0)  # tells the errors
        if any(told.code() in REFUSED for told in heard):
            who = f"user '{kafka.user}'" if kafka.user else "a client without a user"
            return problem("Kafka", f"{kafka.servers} refuses {who}", "a user it knows", _LOGIN)
        told = [_TOLD.match(one.str().partition("(after")[0].strip()) for one in heard]
        for found in filter(None, told):  # it got the addresses, and then went there
            if found["broker"].isdigit():
                return _unknown_here(found["host"], int(found["port"]), found["why"])
        why = next((found["why"] for found in told if found), error.args[0].str())
        return problem("Kafka", f"{kafka.servers}: {why}", "a cluster that answers", _MOVE)


def _exactly(answers: Any, count: int) -> bytes:
    data: bytes = answers.read(count)
    if len(data) != count:
        raise ValueError("the connection ended")
    return data
