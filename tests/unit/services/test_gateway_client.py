"""A client's outbox: bounded, in order where it matters, only the newest where not."""

import json

import msgspec

from openbell.services.gateway.client import OUTBOX_MAX, Client, Subscribe


class Line:
    """Takes what is sent; ends the sender when it has enough."""

    def __init__(self):
        self.messages = []

    async def send_text(self, text):
        self.messages.append(json.loads(text))


async def sent(client):
    """What the client would send now."""
    line = Line()
    while text := client._next():
        await line.send_text(text)
    return line.messages


def subscribed(*channels, symbols=None):
    client = Client()
    client.begin(Subscribe(list(channels), symbols), b'{"run":"r"}')
    return client


async def test_the_snapshot_comes_first_and_numbers_have_no_gap():
    """Numbers are given when a message leaves, so what was replaced leaves no gap."""
    client = subscribed("prices", "orders", "portfolio")
    client.replace("portfolio", "", b"1")
    client.price("A", msgspec.Raw(b"1"))
    client.queue("orders", b'"o"')
    client.replace("portfolio", "", b"2")
    client.price("A", msgspec.Raw(b"2"))
    client.price("B", msgspec.Raw(b"3"))
    messages = await sent(client)
    assert [(message["channel"], message["seq"]) for message in messages] == [
        ("snapshot", 0),
        ("orders", 1),
        ("prices", 2),
        ("portfolio", 3),
    ]
    assert messages[2]["data"] == {"A": 2, "B": 3}
    assert messages[3]["data"] == 2


async def test_a_new_subscription_begins_anew():
    """What waited for the old one is gone; the snapshot has number 0 again."""
    client = subscribed("orders")
    client.queue("orders", b"1")
    await sent(client)
    client.queue("orders", b"2")
    client.begin(Subscribe(["orders"]), b"{}")
    client.queue("orders", b"3")
    assert [(message["seq"], message["data"]) for message in await sent(client)] == [(0, {}), (1, 3)]


async def test_a_slow_client_is_given_up():
    """More than the outbox holds is not kept: the client is slow, and nothing more is sent to it."""
    client = subscribed("orders")
    for _ in range(OUTBOX_MAX):
        client.queue("orders", b"1")
    assert client.is_slow
    assert await sent(client) == []


async def test_what_is_replaced_never_makes_a_client_slow():
    """Prices and the portfolio take the room of one message each, however long the line is stuck."""
    client = subscribed("prices", "portfolio")
    for number in range(10 * OUTBOX_MAX):
        client.price("A", msgspec.Raw(b"%d" % number))
        client.replace("portfolio", "", b"%d" % number)
    assert not client.is_slow
    assert len(await sent(client)) == 3


def test_channels_and_symbols():
    """A client gets what it subscribed to; without symbols it is all of them."""
    assert subscribed("prices").wants("prices", "A")
    assert not subscribed("prices").wants("orders", "A")
    chosen = subscribed("prices", "portfolio", symbols=["A"])
    assert chosen.wants("prices", "A")
    assert not chosen.wants("prices", "B")
    assert chosen.wants("portfolio")
