"""Questions and answers over every bus that several processes can share without history: see `openbell.adapters.buses.rpc`."""

import asyncio
import time
import uuid
from types import SimpleNamespace

import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.buses.rpc import Call, Caller, answer, refuse
from openbell.errors import BusError, UnknownNameError
from tests.contracts.buses import MAKERS, SECONDS, comes


@pytest.fixture(params=[maker for maker in MAKERS if not maker.values[0].keeps_history and maker.values[0].has_groups])
async def asked(request):
    """A bus for the one who asks and one for the one who answers, with the names of the topics."""
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    topics = Topic(f"{prefix}requests", Overflow.BLOCK, 100), Topic(f"{prefix}answers", Overflow.BLOCK, 100)
    async with request.param.open(prefix) as connect:
        asking, answering = connect(), connect()
        for bus in (asking, answering):
            bus.declare(*topics)
        reader = answering.subscribe(topics[0].name, f"{prefix}answerers")
        await reader.ready()
        yield SimpleNamespace(asking=asking, answering=answering, reader=reader, requests=topics[0].name, answers=topics[1].name)


async def echo(asked, change=lambda payload: payload + b"!"):
    """Answer every question."""
    while messages := await asked.reader.take():
        for message in messages:
            call = Call.of(message)
            await answer(asked.answering, call, change(call.payload), asked.answers)
        asked.reader.ack()


async def test_every_caller_gets_its_own_answers(asked):
    """Two callers, many questions at once, each answer where it belongs."""
    answering = asyncio.create_task(echo(asked))
    async with Caller(asked.asking, "one", asked.answers) as one, Caller(asked.asking, "two", asked.answers) as two:
        questions = [
            caller.call(asked.requests, f"{name}{number}".encode(), "key", SECONDS)
            for number in range(20)
            for name, caller in (("one", one), ("two", two))
        ]
        found = await asyncio.gather(*questions)
    assert found == [f"{name}{number}!".encode() for number in range(20) for name in ("one", "two")]
    answering.cancel()


async def test_an_error_is_raised_where_it_was_asked(asked):
    """A refusal arrives as the same error, with all that it says."""
    async with Caller(asked.asking, "one", asked.answers) as caller:
        question = asyncio.create_task(caller.call(asked.requests, b"?", seconds=SECONDS))
        (message,) = await asked.reader.take()
        await refuse(asked.answering, Call.of(message), UnknownNameError("there is no run 'x'", do="use one of: y"), asked.answers)
        with pytest.raises(UnknownNameError, match=r"there is no run .x.\. Use one of: y"):
            await question


async def test_without_an_answer_the_fate_is_unknown(asked):
    """The caller hears so in time; the answer that comes later is nobody's, and the next question is answered as ever."""
    async with Caller(asked.asking, "one", asked.answers) as caller:
        with pytest.raises(BusError, match="fate is unknown"):
            await caller.call(asked.requests, b"late", seconds=0.1)
        (message,) = await asked.reader.take()
        call = Call.of(message)
        assert call.deadline_ns < time.time_ns()
        await answer(asked.answering, call, b"too late", asked.answers)
        answering = asyncio.create_task(echo(asked))
        assert await caller.call(asked.requests, b"next", seconds=SECONDS) == b"next!"
        answering.cancel()


async def test_the_second_answer_is_ignored(asked):
    """A question that came twice is answered twice; the caller takes the first."""
    async with Caller(asked.asking, "one", asked.answers) as caller:
        question = asyncio.create_task(caller.call(asked.requests, b"?", seconds=SECONDS))
        (message,) = await asked.reader.take()
        for text in (b"first", b"second"):
            await answer(asked.answering, Call.of(message), text, asked.answers)
        assert await question == b"first"
        answering = asyncio.create_task(echo(asked))
        assert await caller.call(asked.requests, b"next", seconds=SECONDS) == b"next!"
        answering.cancel()


async def test_foreign_messages_disturb_nobody(asked):
    """Bytes that are no answer are passed over; bytes that are no call are an error for who reads them."""
    async with Caller(asked.asking, "one", asked.answers) as caller:
        await asked.answering.send(asked.answers, b"\xff\x00 nonsense", "one")
        await asked.asking.send(asked.requests, b"{}")
        (message,) = await asked.reader.take()
        with pytest.raises(BusError, match="is no call"):
            Call.of(message)
        answering = asyncio.create_task(echo(asked))
        assert await caller.call(asked.requests, b"?", seconds=SECONDS) == b"?!"
        answering.cancel()


async def test_closing_wakes_whoever_asks():
    """When the bus closes, or the caller does, who waits for an answer is told."""
    bus = InProcessBus()
    bus.declare(Topic("requests"), Topic("answers"))
    reader = bus.subscribe("requests", "answerers")
    async with Caller(bus, "one") as caller, Caller(bus, "two") as other:
        waiting = [asyncio.create_task(each.call("requests", b"?", seconds=SECONDS)) for each in (caller, other)]
        await comes(lambda: reader.depth == 2, "two calls")
        await caller.__aexit__(None, None, None)
        with pytest.raises(BusError, match="gone"):
            await waiting[0]
        await bus.close()
        with pytest.raises(BusError, match="closed"):
            await waiting[1]
        with pytest.raises(BusError, match="closed"):
            await other.call("requests", b"?")


async def test_no_room_is_told_apart():
    """A call that could not be sent has had no effect for certain."""
    bus = InProcessBus()
    bus.declare(Topic("requests", Overflow.BLOCK, 1), Topic("answers"))
    bus.subscribe("requests", "answerers")
    async with Caller(bus, "one") as caller:
        bus.publish("requests", b"")
        with pytest.raises(BusError, match="it was not sent"):
            await caller.call("requests", b"?", seconds=0.05)
