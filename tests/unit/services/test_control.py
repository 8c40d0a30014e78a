"""The control channel: typed messages reach who handles them, and nothing that is sent there ends it."""

import asyncio

import msgspec
import pytest

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.control import (
    DataRequest,
    ErrorReply,
    IngestRequest,
    Pause,
    SessionDone,
    Status,
    StatusReply,
    decode,
    encode,
)
from openbell.errors import BusError, ConfigError, DataError, OpenbellError, UnknownNameError
from openbell.services.control.channel import ControlChannel, error_of, error_reply
from openbell.services.topics.names import CONTROL, control_topics


@pytest.fixture
async def bus():
    """One bus for all ends of the channel."""
    opened = InProcessBus()
    opened.declare(*control_topics(1000))
    yield opened
    await opened.close()


def answers(name, *, state="running"):
    """A handler that says how a service stands."""

    async def handler(message):
        return StatusReply(service=name, state=state)

    return handler


async def test_a_message_goes_to_the_handlers_of_its_type(bus):
    """Every handler of the type gets it, in order, with its fields; those of other types do not."""
    seen = []
    async with ControlChannel(bus, "history") as channel, ControlChannel(bus, "cli") as cli:

        async def request(message):
            seen.append((message.session, message.symbols, message.sender))

        async def ingest(message):
            seen.append("never")

        channel.on(DataRequest, request)
        channel.on(IngestRequest, ingest)
        for number in range(3):
            await cli.send(DataRequest(session=f"s{number}", symbols=("AAPL",)))
        await cli.gather(Status(), 0.01)
        assert seen == [(f"s{number}", ("AAPL",), cli.sender) for number in range(3)]


async def test_what_is_addressed_to_others_is_left_to_them(bus):
    """A message for one service reaches that one; a message for nobody in particular reaches all."""
    async with ControlChannel(bus, "trader") as trader, ControlChannel(bus, "ingest") as ingest, ControlChannel(bus, "cli") as cli:
        trader.on(Status, answers("trader"))
        ingest.on(Status, answers("ingest"), "ingest", "feed")
        assert {reply.service for reply in await cli.gather(Status(), 0.05)} == {"trader", "ingest"}
        assert [reply.service for reply in await cli.gather(Status(service="feed"), 0.05)] == ["ingest"]
        assert (await cli.ask(Status(service="trader"))).service == "trader"
        with pytest.raises(BusError, match="nobody answered a status"):
            await cli.ask(Status(service="nobody"), 0.05)


async def test_answers_find_who_asked(bus):
    """Questions asked at the same time get their own answers, by id; a process may ask itself."""
    async with ControlChannel(bus, "history") as channel:

        async def handler(message):
            return SessionDone(session=message.session, events=len(message.symbols))

        channel.on(DataRequest, handler)
        questions = [DataRequest(session=f"s{count}", symbols=("A",) * count) for count in range(1, 6)]
        found = await asyncio.gather(*(channel.ask(question) for question in questions))
        assert [(reply.session, reply.events) for reply in found] == [(f"s{count}", count) for count in range(1, 6)]


@pytest.mark.parametrize(
    ("payload", "words", "request_id"),
    [
        (b"hello", "no Control", ""),
        (b"", "control message", ""),
        (b"\xff\xfe\x00", "", ""),
        (b"{", "JSON", ""),
        (b'{"type": ' + b"[" * 100_000, "JSON", ""),
        (b'{"type": "dance", "id": "7"}', "no control message of type 'dance'", "7"),
        (b'{"type": "status", "id": "8", "service": 3}', "status", "8"),
        (b'{"type": "data_request", "id": "9", "session": "../x", "symbols": ["A"]}', "session", "9"),
    ],
)
async def test_what_cannot_be_read_is_answered_and_does_no_harm(payload, words, request_id, bus):
    """One error on the channel, which says what was wrong, and the next message is carried out."""
    watch = bus.subscribe(CONTROL)
    async with ControlChannel(bus, "trader") as channel, ControlChannel(bus, "cli") as cli:
        channel.on(Status, answers("trader"))
        bus.publish(CONTROL, payload)
        assert (await cli.ask(Status())).service == "trader"
        assert channel.refused == cli.refused == 1
    replies = [decode(message.payload) for message in watch.take_now()[1:]]
    errors = [reply for reply in replies if isinstance(reply, ErrorReply)]
    assert [(error.request, error.error) for error in errors] == [(request_id, "DataError")]
    assert words in errors[0].detail


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (UnknownNameError.of("symbol", "APPL", ["AAPL"]), UnknownNameError, "did you mean 'AAPL'"),
        (ConfigError("no"), ConfigError, "no"),
        (ZeroDivisionError("by zero"), OpenbellError, "ZeroDivisionError: by zero"),
    ],
)
async def test_a_handler_that_fails_is_answered_with_its_error(raised, kind, words, bus):
    """Who asked gets the error, of its kind; the channel goes on."""
    async with ControlChannel(bus, "trader") as channel, ControlChannel(bus, "cli") as cli:

        async def fails(message):
            raise raised

        channel.on(Pause, fails)
        channel.on(Status, answers("trader"))
        with pytest.raises(kind) as caught:
            await cli.ask(Pause())
        assert type(caught.value) is kind
        assert words.lower() in str(caught.value).lower()
        assert (await cli.ask(Status())).service == "trader"


async def test_errors_are_not_answered_with_errors(bus):
    """A handler of errors that fails says nothing: two such services would talk for ever."""
    watch = bus.subscribe(CONTROL)
    async with ControlChannel(bus, "one") as one, ControlChannel(bus, "two") as two:

        async def fails(message):
            raise DataError("again")

        for channel in (one, two):
            channel.on(ErrorReply, fails)
            channel.on(Status, answers(channel.name))
        await one.send(ErrorReply(detail="first"))
        assert len(await one.gather(Status(), 0.05)) == 2
    kinds = [type(decode(message.payload)).__name__ for message in watch.take_now()]
    assert kinds.count("ErrorReply") == 1


async def test_a_closed_bus_ends_the_channel_quietly(bus):
    """Asking raises the error of the bus; stopping works, also twice."""
    channel = ControlChannel(bus, "trader")
    await channel.start()
    await bus.close()
    with pytest.raises(BusError):
        await channel.ask(Status())
    await channel.stop()
    await channel.stop()


def test_an_error_survives_the_way():
    """Kind and sentence are the same on the other side; a kind nobody knows is the base of the tree."""
    for error in (DataError("a", "b", "c"), BusError("gone")):
        again = error_of(msgspec.json.decode(encode(error_reply(error)), type=ErrorReply))
        assert (type(again), str(again)) == (type(error), str(error))
    for name in ("suggest", "SystemExit", "", "__all__"):
        assert type(error_of(ErrorReply(detail="x", error=name))) is OpenbellError
