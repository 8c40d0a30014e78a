"""A program that is none of the platform's and sends to all of its topics what nobody can use."""

import asyncio
import contextlib
import socket
from collections import Counter

import aiormq
import msgspec
import numpy as np
from confluent_kafka import Producer

from openbell.adapters.messages.decisions import encode_decisions
from openbell.adapters.messages.orders import Execution, OrderInstruction, encode_execution, encode_order
from openbell.adapters.messages.ticks import encode_chunk
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.proto.v1.market_pb2 import TickBatch
from openbell.proto.v1.trading_pb2 import DecisionBatch
from openbell.services.trader.decisions import plan_hash
from openbell.services.trader.intake import request_event
from openbell.services.trader.requests import Question

#: What the platform reads, and over which kind of server.
TOPICS = {
    "stock-prices": "kafka", "commands": "kafka", "orders": "rabbitmq", "executions": "rabbitmq", "requests": "rabbitmq",
    "control": "redis",
}  # fmt: skip
#: The largest that the server takes, or that is worth trying.
HUGE = {"kafka": 1_040_000, "rabbitmq": 17_000_000, "redis": 9_000_000}
#: Of no use on any topic.
NONSENSE = (
    b"", b"\0", b"null", b'"text"', b"{}", b"[]x", b"[" * 10_000, b'{"a":' * 5_000, b'{"symbol": "\xff\xfe"}', b"\xff" * 100,
    b'{"symbol":"BTCUSDT","price":-1,"quantity":1,"ts":1723161254087}', b'{"symbol":"BTCUSDT","price":1e400,"quantity":1,"ts":1723}',
    b'[{"symbol":"BTCUSDT","price":NaN,"quantity":1,"ts":1723161254087}]', b'{"symbol":"BTCUSDT","price":60000,"quantity":1,"ts":1}',
    b'{"type":"pause"', b'{"type":"paws"}', b'{"type":7}', b'{"type":"data_request","session":"../..","start":"tomorrow"}',
)  # fmt: skip
ORDER = OrderInstruction(
    run="main-1", strategy="rsi", client_order_id="main-1-1025", order_id=1025, symbol="BTCUSDT", action="submit", side="buy",
    quantity=1.0, quantity_lots=1, ts=1, seq=1, index=1 << 40, venue="outside",
)  # fmt: skip
EXECUTION = Execution(
    run="main-1", client_order_id="main-1-1025", order_id=1025, symbol="BTCUSDT", side="buy", status="filled", ts=1, venue="paper"
)


class Strangers:
    """Sends to the topics of a session, and looks at what was put aside."""

    def __init__(self, session, expected, generator):
        self.session, self.generator = session, generator
        #: Payloads by topic, in the order in which they were sent.
        self.sent = {topic: [] for topic in TOPICS}
        #: Messages that are no chunk together, and that nobody but who puts chunks together can tell.
        self.contradictions = 0
        self._parts = set()
        self._plan = plan_hash(expected.plan)
        self._settings = session.settings()
        self._kafka = Producer({"bootstrap.servers": self._settings.kafka.servers, "message.max.bytes": 2_000_000})

    def send(self, topic, is_huge=False):
        """One message to a topic: what nobody can read, or what looks as if it were one of ours."""
        if is_huge:
            payload = self.generator.bytes(HUGE[TOPICS[topic]])
        elif self.generator.random() < 0.5:
            payload = NONSENSE[self.generator.integers(len(NONSENSE))]
        else:
            payload = self._similar(topic)
        self._send(topic, payload)
        self.sent[topic].append(payload)

    def contradict(self):
        """Two messages of one chunk, of a source and of symbols that nobody knows, that do not fit together."""
        events = np.zeros(2, EVENT)
        events["kind"], events["instrument"], events["trade"]["price"], events["trade"]["quantity"] = enums.TRADE, [0, 1], 1.0, 1
        unknown = [Listing("NOBODY", 0.01, 1.0), Listing("NOTHING", 0.01, 1.0)]
        for symbol, payload in encode_chunk(events, unknown, source=f"stranger-{self.contradictions}", epoch=0, first=0, cursor=b""):
            message = TickBatch.FromString(payload)
            message.cursor = symbol.encode()
            self._parts.add(message.SerializeToString())
            self._send("stock-prices", message.SerializeToString())
        self.contradictions += 2

    def _send(self, topic, payload):
        name, server = f"{self.session.namespace}.{topic}", TOPICS[topic]
        if server == "kafka":
            self._kafka.produce(name, payload, self._one_of([b"BTCUSDT", b"\xff", b""]))
            assert self._kafka.flush(60.0) == 0
        elif server == "rabbitmq":
            asyncio.run(self._to_exchange(name, payload))
        else:
            with socket.create_connection((self._settings.redis.host, self._settings.redis.port), 10.0) as link:
                parts = (b"PUBLISH", name.encode(), payload)
                link.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
                assert link.recv(100).startswith(b":")

    def all_sent(self):
        """Every payload."""
        return frozenset(payload for payloads in self.sent.values() for payload in payloads) | self._parts

    # What looks as if it were ours.

    def _similar(self, topic):
        return {
            "stock-prices": self._ticks, "commands": self._decisions, "requests": self._request, "control": self._control,
            "orders": lambda: self._cut(encode_order(ORDER)), "executions": lambda: self._cut(encode_execution(EXECUTION)),
        }[topic]()  # fmt: skip

    def _cut(self, payload):
        """A message that breaks off, or goes on with something else."""
        return self._one_of([payload[: self.generator.integers(1, len(payload))] + b"\xff", payload + b"\xff\xff", b"\xff" + payload])

    def _ticks(self):
        listing = Listing("BTCUSDT", 0.5, 7.0)  # in other units
        events = np.zeros(1, EVENT)
        events["kind"], events["trade"]["price"], events["trade"]["quantity"] = enums.TRADE, 60_000.0, 1
        [(_, payload)] = encode_chunk(events, [listing], source="stranger", epoch=0, first=0, cursor=b"")
        message = TickBatch.FromString(payload)
        changes = ({}, {"count": 0}, {"count": 1 << 31}, {"parts": 3}, {"first": -1}, {"size": 7}, {"lot_size": float("nan")})
        for name, value in changes[self.generator.integers(len(changes))].items():
            setattr(message, name, value)
        return self._one_of([message.SerializeToString(), self._cut(payload)])

    def _decisions(self):
        commands = np.zeros(2, COMMAND)
        message = DecisionBatch.FromString(encode_decisions("main-1", self._plan, 0, commands, 1))
        changes = (
            {"plan": "0" * 16}, {"plan": "0", "run": "main-\u00b2"}, {"plan": "0", "run": "main-" + "9" * 5000}, {"layout": "1"},
            {"layout": ""}, {"first": -1}, {"count": 3}, {"commands": message.commands[:-5]}, {"run": ""}, {"run": "x" * 100_000},
        )  # fmt: skip
        for name, value in changes[self.generator.integers(len(changes))].items():
            setattr(message, name, value)
        return message.SerializeToString()

    def _request(self):
        event = request_event(enums.REQUEST_KILL, strategy=0)
        late = request_event(enums.REQUEST_PAUSE, strategy=0, now_ns=9 * 10**18)
        made = [
            msgspec.msgpack.encode(Question("1", "stranger", "main", part))
            for part in (b"", event.tobytes()[:-1], event.tobytes() * 2, late.tobytes(), np.zeros(1, EVENT).tobytes())
        ]
        other = [msgspec.msgpack.encode(["1", "2"]), msgspec.msgpack.encode({"id": "1"}), b"\x94\xa2\xff\xfe\xa1b\xa4main\xc4\x01x",
                 b"\x95\xa1a\xa1b\xa4main\xc4\x01x" + b"\x91" * 5000 + b"\x01"]  # fmt: skip
        return self._one_of(made + other)

    def _control(self):
        return self._one_of([
            b'{"type":"resume","strategy":7}', b'{"type":"ingest_request","action":"eat","symbols":["X"]}', b"\x0a\x03abc", b"\0key\0{",
            b'{"type":"status_reply","service":"x","state":"y","processed":-1}', b'{"type":"status","service":' + b"9" * 5000 + b"}",
            b'{"type":"error","id":"\xff"}', b'{"type":"data_request","session":"s","start":"' + b"9" * 5000 + b'"}',
        ])  # fmt: skip

    def _one_of(self, payloads):
        return payloads[self.generator.integers(len(payloads))]

    # RabbitMQ.

    @contextlib.asynccontextmanager
    async def _channel(self):
        known = self._settings.rabbitmq
        connection = await aiormq.connect(f"amqp://{known.user}:{known.password}@{known.host}:{known.port}/")
        try:
            yield await connection.channel()
        finally:
            await connection.close()

    async def _to_exchange(self, name, payload):
        async with self._channel() as channel:
            exchange = f"openbell.{name}"
            await channel.exchange_declare(exchange, exchange_type="direct", durable=True)
            headers = self._one_of([None, {"key": 7}, {"key": ["x"], "attempt": "many", "due_ns": "soon"}, {"attempt": -5}])
            await channel.basic_publish(
                payload, exchange=exchange, routing_key="0", properties=aiormq.spec.Basic.Properties(headers=headers)
            )

    def put_aside(self):
        """By topic, how often each payload is among the dead letters; each says why."""
        return asyncio.run(self._dead_letters())

    async def _dead_letters(self):
        found = {}
        async with self._channel() as channel:
            while (letter := await channel.basic_get("openbell.dead-letters", no_ack=True)).delivery_tag:
                headers = letter.header.properties.headers
                assert headers["reason"], headers
                namespace, _, topic = headers["topic"].partition(".")
                if namespace == self.session.namespace:
                    found.setdefault(topic, Counter())[letter.body] += 1
        return found
