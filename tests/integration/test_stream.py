"""The live stream over real sockets: clients that read slowly or never, peers that are dead, and those that come and go."""

import asyncio
import contextlib
import json
import os
import socket

import pytest
import websockets

from openbell.services.gateway import line as lines
from openbell.services.gateway import lookout
from openbell.services.gateway.server import Server, listen
from openbell.services.topics.names import PRICES, VIEWS
from openbell.services.views import Order, Price
from tests.asgi import desk

#: Seconds from ping to ping here: the parts of the lookout, times its look.
LOOK_S = 0.04
HEARTBEAT_S = lookout.HEARTBEAT_S * LOOK_S
HELLO = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def until(condition, seconds=10.0):
    """Look again and again until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)  # between two looks; the deadline decides


class Place:
    """A server, what stands behind it, and something to tell."""

    def __init__(self, gateway, server):
        self.hub, self.bus, self.metrics = gateway.hub, gateway.bus, gateway.metrics
        self.server = server
        self.port = server.opened.getsockname()[1]
        self.number = 0

    def connect(self, **options):
        return websockets.connect(f"ws://127.0.0.1:{self.port}/ws", **options)

    async def raw(self, *asked):
        """A line without anything that answers or reads by itself."""
        plug = socket.socket()
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        plug.connect(("127.0.0.1", self.port))
        plug.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=plug, limit=4_096)
        writer.write(HELLO)
        await writer.drain()
        assert b" 101 " in await reader.readuntil(b"\r\n")
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        for message in asked:
            writer.write(masked(json.dumps(message).encode()))
        return reader, writer

    def price(self, symbol="BTCUSDT"):
        self.number += 1
        self.bus.publish(PRICES, Price(float(self.number), None, None, None, self.number), symbol)

    async def order(self, size=0):
        self.number += 1
        words = "x" * size
        made = Order("1", "BTCUSDT", "house", "buy", "market", "gtc", "filled", 1.0, 1.0, None, None, None, words, self.number)
        await self.bus.send(VIEWS, ("orders", made), "orders")
        return self.number

    def sent_away(self, code):
        return self.metrics.stream_sent_away.labels(code)._value.get()


def masked(text):
    head = bytes((0x81, 0x80 | len(text))) if len(text) < 126 else b"\x81\xfe" + len(text).to_bytes(2, "big")
    return head + b"\0\0\0\0" + text


async def frames(reader):
    """(Kind, content) of all frames until the line is closed."""
    found = []
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            kind, size = await reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await reader.readexactly(8), "big")
            found.append((kind, await reader.readexactly(size)))
    return found


@pytest.fixture
async def place(tmp_path, monkeypatch):
    """A server with a heartbeat of 0.6 s, lines that hold 64 KiB, and half a second for those that take nothing."""
    monkeypatch.setattr(lookout, "LOOK_S", LOOK_S)
    monkeypatch.setattr(lookout, "STUCK_S", 0.5)
    monkeypatch.setattr(lines, "CLOSE_S", 1.0)
    monkeypatch.setattr(lines, "WAITING_MAX", 64 * 1024)
    monkeypatch.setattr(lines, "UNSENT_MAX", 16 * 1024)
    async with desk(tmp_path, None) as gateway:
        server = Server(gateway.app, listen("127.0.0.1", 0, ""))
        running = asyncio.create_task(server.run_until_stopped())
        yield Place(gateway, server)
        server.should_exit = True
        await running


async def take(line, number=1):
    """So many messages."""
    return [json.loads(await asyncio.wait_for(line.recv(), 10)) for _ in range(number)]


def asking(*channels, **more):
    return json.dumps({"op": "subscribe", "channels": list(channels), **more})


async def test_nothing_is_compressed(place):
    """What is sent to all alike cannot be compressed for each."""
    async with place.connect(compression="deflate") as line:
        assert line.response.headers.get("Sec-WebSocket-Extensions") is None
        await line.send(asking("prices"))
        assert (await take(line))[0]["channel"] == "snapshot"


async def test_who_answers_pings_stays(place):
    """Also one that has nothing to say and nothing to hear."""
    async with place.connect(ping_interval=None) as line:
        await until(lambda: len(place.hub.clients) == 1)
        (client,) = place.hub.clients
        first = client.pinged
        await until(lambda: client.pinged > first)
        before = client.pinged
        await until(lambda: client.pinged > before)
        assert client.line.heard >= before
        await line.send(asking("prices"))
        assert (await take(line))[0]["channel"] == "snapshot"


async def test_who_does_not_answer_is_let_go(place):
    """A peer that is gone without a word: within two heartbeats, and it is said why in case somebody hears."""
    reader, writer = await place.raw()
    began = asyncio.get_running_loop().time()
    found = await asyncio.wait_for(frames(reader), 20)
    writer.close()
    assert place.hub.clients == set()
    assert asyncio.get_running_loop().time() - began < 2 * HEARTBEAT_S + lines.CLOSE_S + 5.0
    kinds = [kind for kind, _ in found]
    assert kinds == [0x89, 0x81, 0x88]
    assert json.loads(found[1][1])["data"] == {"code": 1011, "detail": "no answer to a ping"}
    assert int.from_bytes(found[2][1][:2], "big") == 1011


async def test_a_line_that_breaks_is_gone_at_once(place):
    """No timeout is needed for what the system tells."""
    _, writer = await place.raw({"op": "subscribe", "channels": ["prices"]})
    await until(lambda: place.hub.groups)
    writer.transport.abort()
    await until(lambda: not place.hub.clients)
    assert place.hub.groups == {}
    assert not place.bus.has_subscribers(PRICES)


async def test_who_never_reads_is_sent_away_and_holds_up_nobody(place):
    """What waits for it stays bounded; the other goes on; in the end it is told why."""
    reader, writer = await place.raw({"op": "subscribe", "channels": ["orders", "prices"]})
    async with place.connect() as other:
        await other.send(asking("orders", "prices"))
        await take(other)
        peer = writer.get_extra_info("sockname")
        slow = next(client for client in place.hub.clients if client.line.transport.get_extra_info("peername") == peer)
        numbers, most, got = [], 0, []
        while not place.sent_away(1013):
            numbers.append(await place.order(4_000))
            place.price()
            most = max(most, slow.line.waiting)
            while not got or got[-1] != numbers[-1]:
                got += [message["data"]["ts"] for message in await take(other) if message["channel"] == "orders"]
        assert got == numbers
        assert most < 64 * 1024 + 64 * 1024 + 10_000
        assert {client.line for client in place.hub.clients} != {slow.line}
        found = await asyncio.wait_for(frames(reader), 20)
        writer.close()
    assert json.loads(found[-2][1])["data"] == {"code": 1013, "detail": "too slow"}
    assert int.from_bytes(found[-1][1][:2], "big") == 1013


async def test_who_reads_late_catches_up(place, monkeypatch):
    """All orders in order, the newest price, and numbers that follow each other as they say."""
    monkeypatch.setattr(lookout, "STUCK_S", 60.0)
    monkeypatch.setattr(lookout, "HEARTBEAT_S", 60)
    reader, writer = await place.raw({"op": "subscribe", "channels": ["orders", "prices"]})
    await until(lambda: place.hub.groups)
    (client,) = place.hub.clients
    numbers = []
    while not client.line.is_full:
        numbers.append(await place.order(4_000))
        await asyncio.sleep(0)
    for _ in range(50):
        numbers.append(await place.order(4_000))
        place.price()
    reading = asyncio.create_task(frames(reader))
    await until(lambda: not client.line.is_full and client.seq == client.group.seq and client.line.waiting == 0)
    place.price("ETHUSDT")
    newest = place.number
    await until(lambda: client.group.is_level and client.seq == client.group.seq and not client.group.unsaid)
    await asyncio.sleep(0.3)  # longer than a beat
    place.server.should_exit = True
    messages = [json.loads(content) for kind, content in await asyncio.wait_for(reading, 20) if kind == 0x81]
    writer.close()
    assert messages[0]["channel"] == "snapshot"
    assert [one["prev"] for one in messages[1:]] == [one["seq"] for one in messages[:-1]]
    assert [one["data"]["ts"] for one in messages if one["channel"] == "orders"] == numbers
    prices = {}
    for one in messages:
        if one["channel"] == "prices":
            prices |= {symbol: price["price"] for symbol, price in one["data"].items()}
    assert prices == {"BTCUSDT": newest - 1, "ETHUSDT": newest}


async def test_unsubscribing(place):
    """What is left is said, and comes on; the numbers go on as well."""
    async with place.connect() as line:
        await line.send(asking("orders", "prices", symbols=["BTCUSDT", "ETHUSDT"]))
        await take(line)
        await line.send(json.dumps({"op": "unsubscribe", "channels": ["prices"]}))
        place.price()
        (said,) = await take(line)
        assert (said["channel"], said["data"]) == ("subscribed", {"channels": ["orders"], "symbols": ["BTCUSDT", "ETHUSDT"]})
        number = await place.order()
        (order,) = await take(line)
        assert (order["channel"], order["data"]["ts"], order["prev"]) == ("orders", number, said["seq"])
        await line.send(json.dumps({"op": "unsubscribe"}))
        (said,) = await take(line)
        assert (said["data"], said["prev"]) == ({"channels": [], "symbols": []}, order["seq"])
        await line.send(asking("prices"))
        assert (await take(line))[0]["channel"] == "snapshot"


@pytest.mark.parametrize("message", [b"\x00\x01", "[" * 60_000, '{"op":"unsubscribe","channels":["prices"]}', asking(symbols="all")])
async def test_what_is_not_understood(place, message):
    """Bytes, depth, the wrong moment, the wrong type: said in words, then closed."""
    async with place.connect() as line:
        await line.send(message)
        (said,) = await take(line)
        assert (said["channel"], said["data"]["code"]) == ("error", 1008)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(line.recv(), 10)
        assert closed.value.rcvd.code == 1008


async def test_a_message_that_is_too_large(place):
    """Nobody needs 64 KiB to say what to hear."""
    async with place.connect() as line:
        await line.send("x" * 70_000)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(line.recv(), 10)
        assert closed.value.rcvd.code == 1009


async def test_a_client_too_many(place):
    """It is refused with a status, and told when to come back; who is there stays."""
    place.hub.most = 1
    async with place.connect() as line:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await place.connect()
        assert refused.value.response.status_code == 429
        assert int(refused.value.response.headers["Retry-After"]) > 0
        assert b"too many clients" in refused.value.response.body
        await line.send(asking("prices"))
        await take(line)
    await until(lambda: not place.hub.clients)
    async with place.connect():
        pass


async def test_many_clients_leave_nothing_behind(place):
    """Open files, clients, groups and tasks are as before."""
    files, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
    for _ in range(3):
        held = [await place.connect() for _ in range(40)]
        for index, line in enumerate(held):
            await line.send(asking("prices", symbols=["BTCUSDT", "ETHUSDT"][: 1 + index % 2]))
            await take(line)
        assert len(place.hub.groups) == 2
        place.price()
        for line in held:
            assert (await take(line))[0]["channel"] == "prices"
        await asyncio.gather(*(line.close() for line in held))
        await until(lambda: not place.hub.clients)
    await until(lambda: len(os.listdir("/proc/self/fd")) <= files + 2)
    await until(lambda: len(asyncio.all_tasks()) <= tasks + 1)
