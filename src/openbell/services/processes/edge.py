"""The edge of a process: its buses to the other processes, as the settings name them."""

import asyncio
from dataclasses import replace

from openbell.adapters.buses.base import Bus, Topic
from openbell.config import Settings
from openbell.errors import ConfigError
from openbell.services.topics.names import control_topics, market_topics, order_topics

#: Messages of a topic that wait for the server's word, or for their reader.
BUFFER = 1000


class Edge:
    """The buses for market data, orders and control. `client` is what servers are told the process is called."""

    def __init__(self, settings: Settings, client: str) -> None:
        check_buses(settings)
        kinds = settings.bus
        self._namespace = f"{kinds.namespace}." if kinds.namespace else ""
        self.market = self._open(kinds.market, settings, client, market_topics(BUFFER, kinds.partitions))
        self.orders = self._open(kinds.orders, settings, client, order_topics(BUFFER))
        self.control = self._open("pubsub", settings, client, control_topics(BUFFER))

    def name(self, topic: str) -> str:
        """What a topic is called on the servers."""
        return f"{self._namespace}{topic}"

    def _open(self, kind: str, settings: Settings, client: str, topics: tuple[Topic, ...]) -> Bus:
        bus: Bus
        if kind == "kafka":
            from openbell.adapters.buses.kafka import KafkaBus

            bus = KafkaBus(settings.kafka, client)
        elif kind == "rabbitmq":
            from openbell.adapters.buses.rabbitmq import RabbitBus

            bus = RabbitBus(settings.rabbitmq, client)
        elif kind == "redis":
            from openbell.adapters.buses.redis import RedisStreamBus

            bus = RedisStreamBus(settings.redis, client)
        else:
            from openbell.adapters.buses.redis import RedisPubSubBus

            bus = RedisPubSubBus(settings.redis, client)
        bus.declare(*(replace(topic, name=self.name(topic.name)) for topic in topics))
        return bus

    async def close(self) -> None:
        """Send what waits, and disconnect; what a bus says against it is raised when all are closed."""
        said = await asyncio.gather(*(bus.close() for bus in (self.market, self.orders, self.control)), return_exceptions=True)
        for error in said:
            if isinstance(error, BaseException):
                raise error


def check_buses(settings: Settings) -> None:
    """Raise ConfigError unless every bus reaches other processes."""
    for name in ("market", "orders", "control"):
        if getattr(settings.bus, name) == "inprocess":
            raise ConfigError(
                f"bus.{name} is inprocess, which ends with the process", "a server that carries messages between processes",
                'start the servers with `scripts/services.sh up`, and name them with `eval "$(scripts/services.sh env)"`',
            )  # fmt: skip
