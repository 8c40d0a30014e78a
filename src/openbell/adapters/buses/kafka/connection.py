"""How our clients of Kafka are set up, and what their errors mean: what will pass is waited for, what will not gets a name and a remedy."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from confluent_kafka import KafkaError

from openbell.errors import BusError, ConfigError

#: How long an address may not be found, or a user be refused who was let in before, until it is called a mistake.
PATIENCE_SECONDS = 10.0
#: The same line of the client library is logged once in this time.
QUIET_SECONDS = 60.0

REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
}
FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


class Cluster(Protocol):
    """The address of a cluster and who we are there, as the settings' section `kafka` has it."""

    @property
    def servers(self) -> str:
        """`host:port`, several with commas."""

    @property
    def user(self) -> str:
        """Empty for a cluster that asks nobody."""

    @property
    def password(self) -> str:
        """Never shown."""

    @property
    def tls(self) -> bool:
        """Whether to encrypt, and to check the servers' certificates."""

    @property
    def mechanism(self) -> str:
        """How the user proves who it is, in the words of SASL."""


def configuration(cluster: Cluster, client: str, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    """What all our clients have in common. ConfigError for a password that would be sent where others can read it."""
    if cluster.user and cluster.mechanism == "PLAIN" and not cluster.tls:
        raise ConfigError(
            "kafka.mechanism is PLAIN without TLS, which sends the password in the clear", "SCRAM-SHA-512", "or set kafka.tls"
        )
    found: dict[str, Any] = {
        "bootstrap.servers": cluster.servers,
        "client.id": f"openbell-{client}",
        "security.protocol": ("SASL_" if cluster.user else "") + ("SSL" if cluster.tls else "PLAINTEXT"),
        "socket.nagle.disable": True,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2000,
        "log.connection.close": False,
        "logger": LOGGER,
        "error_cb": on_error,
    }
    if cluster.user:
        found |= {
            "sasl.username": cluster.user,
            "sasl.password": cluster.password,
            "sasl.mechanism": "PLAIN" if cluster.tls else "SCRAM-SHA-512",
        }
    return found


class Watch:
    """Judges the errors of one client, on its thread. `failure` is what waiting cannot mend; `on_failure` is called when there is one."""

    def __init__(self, cluster: Cluster, on_failure: Callable[[BusError], None]) -> None:
        self.failure: BusError | None = None
        self._cluster = cluster
        self._on_failure = on_failure
        self._was_reached = False
        self._trouble_since: float | None = None

    def reached(self) -> None:
        """The cluster answered: what was wrong is mended."""
        self._was_reached, self._trouble_since, self.failure = True, None, None

    def on_error(self, error: KafkaError) -> None:
        """What librdkafka tells by itself: mostly of servers that are away, which it tries again."""
        failure = self.judge(error)
        if failure is not None:
            self.failure = failure
            self._on_failure(failure)

    def judge(self, error: KafkaError) -> BusError | None:
        """The error with its remedy, or None when it may pass."""
        code, servers, text = error.code(), self._cluster.servers, error.str().partition(" (after ")[0]
        who = f"user '{self._cluster.user}'" if self._cluster.user else "a client without a user"
        if code in REFUSED and (not self._was_reached or self._lasts()):
            return BusError(f"Kafka at {servers} refuses {who}", "a user it knows", "check kafka.user, kafka.password and kafka.mechanism")
        if code == KafkaError._RESOLVE and not self._was_reached and self._lasts():
            return BusError(f"nobody knows the address {servers}", "host:port of a Kafka server", "check kafka.servers")
        if code == KafkaError._SSL and not self._was_reached:
            return BusError(f"Kafka at {servers} cannot be trusted: {text}", "a certificate of a known authority", "check kafka.tls")
        if code == KafkaError._TRANSPORT and "SSL handshake" in text and not self._was_reached and self._lasts():
            return BusError(f"the server at {servers} does not speak TLS", do="check kafka.servers and kafka.tls")
        if code in FORBIDDEN:
            return BusError(f"Kafka at {servers} forbids {who} something: {text}", do="grant it in the cluster's access lists")
        if error.fatal() or code in (KafkaError._FATAL, KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE):
            return BusError(f"the client of Kafka at {servers} cannot go on: {text}", "Kafka 2.5 or later", "see the server's log")
        return None

    def _lasts(self) -> bool:
        now = time.monotonic()
        if self._trouble_since is None:
            self._trouble_since = now
        return now - self._trouble_since >= PATIENCE_SECONDS


class _Once(logging.Filter):
    """Lets a line through when it was not logged lately: librdkafka repeats itself with every attempt to connect."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is new."""
        text, now = record.getMessage().partition("(after ")[0], time.monotonic()
        if now - self._last.get(text, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[text] = now
        if record.levelno >= logging.ERROR:  # to librdkafka a server that is away is an error, to us it is one to wait for
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


#: Where librdkafka logs, instead of standard error.
LOGGER = logging.getLogger("openbell.kafka")
LOGGER.addFilter(_Once())
