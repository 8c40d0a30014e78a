"""Clients that mean no good, on a raw line: slow ones, endless ones, and what they cost."""

import asyncio
import contextlib

import pytest
from starlette.responses import Response

from openbell.services.gateway import protocol
from openbell.services.gateway.server import Server, listen


async def answering(scope, receive, send):
    """Read the body, say how long it is."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await Response(str(size))(scope, receive, send)


@pytest.fixture
async def place(monkeypatch):
    """Host and port of a server that waits for half a second."""
    monkeypatch.setattr(protocol, "RECEIVE_S", 0.5)
    server = Server(answering, listen("127.0.0.1", 0, ""))
    running = asyncio.create_task(server.run_until_stopped())
    yield server.opened.getsockname()[:2]
    server.should_exit = True
    await running


async def talk(place, *parts, pause=0.0):
    """Send parts with pauses; returns what is answered until the line is closed."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)  # how slow the client is
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""
    finally:
        writer.close()


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


async def test_a_request_is_answered(place):
    """Also in pieces, as long as it is whole in time."""
    assert b"200 OK" in await talk(place, HEAD + b"Content-Length: 5\r\n\r\nhello")
    assert b"200 OK" in await talk(place, HEAD, b"Content-Length: 5\r\n\r\n", b"hel", b"lo", pause=0.05)


@pytest.mark.parametrize(
    "parts",
    [
        (),  # says nothing
        (b"POST / HT",),
        (HEAD,) + (b"X: 1\r\n",) * 20,  # a header now and then
        (HEAD + b"Content-Length: 50\r\n\r\n",) + (b"a",) * 20,  # a byte of the body now and then
    ],
)
async def test_a_slow_client_is_sent_away(place, parts):
    """Within the time that a request has, however it spreads what it sends."""
    began = asyncio.get_running_loop().time()
    assert b"200 OK" not in await talk(place, *parts, pause=0.1)
    assert asyncio.get_running_loop().time() - began < 8.0


@pytest.mark.parametrize("endless", [b"X: " + b"a" * 8_000 + b"\r\n", b"a" * 8_000])
async def test_a_head_without_an_end_is_refused(place, endless):
    """Many headers, or one that goes on and on: no more than some kilobytes are held."""
    answer = await talk(place, HEAD, *([endless] * 100))
    assert b"200 OK" not in answer


async def test_many_requests_at_once_are_not_one_head(place):
    """A client may send the next ones before the first is answered; together they are longer than a head may be."""
    reader, writer = await asyncio.open_connection(*place)
    request = b"POST / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200 + b"\r\nContent-Length: 2\r\n\r\nhi"
    answered = 0

    async def read():
        nonlocal answered
        while answered < 1_000:
            assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n2"), 10)
            answered += 1

    reading = asyncio.create_task(read())
    writer.write((request * 1_000)[:-50])
    await asyncio.sleep(0.1)  # so that the last one comes in two pieces
    writer.write(request[-50:])
    await reading
    writer.close()


async def test_the_line_is_kept_for_the_next_request(place):
    """The time of a request begins with its first byte, not with that of the one before."""
    reader, writer = await asyncio.open_connection(*place)
    for _ in range(4):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n2"), 10)
        await asyncio.sleep(0.3)  # longer than half a second in all
    writer.close()
