"""The stops: who waits for whom, and for how long."""

import asyncio
from time import perf_counter

import pytest

from openbell.errors import BusError
from openbell.services.verify.journey import Journey, Seen, Stop, Trail
from openbell.services.verify.looking import ask, look_until


async def seen(where="there"):
    return Seen(where, perf_counter())


async def never():
    await asyncio.Event().wait()


async def fails():
    raise BusError("the topic is gone", do="make it anew")


async def test_everything_arrives():
    """Each stop has a place and a time; what was seen before the stop it follows keeps its time."""
    journey = Journey(5.0)
    journey.begin()
    gate = asyncio.Event()

    async def late():
        await gate.wait()
        return await seen("late")

    async def early():
        found = await seen()
        gate.set()
        return found

    journey.follow(Stop("a"), late())
    journey.follow(Stop("b", "processor", "a"), early())
    await journey.finish()
    report = journey.report("AAPL", ["fine"])
    assert report.arrived
    assert [(stop.state, stop.where) for stop in report.stops] == [("ok", "late"), ("ok", "there")]
    assert report.ms == report.stops[0].ms >= report.stops[1].ms >= 0.0


async def test_what_follows_a_lost_stop_is_not_waited_for():
    """A stop that fails, or is not reached in time, is lost; those after it are not reached, others are."""
    journey = Journey(0.2)
    journey.follow(Stop("a"), seen())
    journey.follow(Stop("b", after="a"), never())
    journey.follow(Stop("c", after="b"), never())
    journey.follow(Stop("d", after="c"), fails())
    journey.follow(Stop("e", after="a"), fails())
    journey.follow(Stop("f", after="a"), seen())
    async with asyncio.timeout(5.0):
        await journey.finish()
    assert [stop.state for stop in journey.stops] == ["ok", "lost", "not reached", "not reached", "lost", "ok"]
    assert [stop.why for stop in journey.stops] == ["", "", "", "", "the topic is gone. Make it anew.", ""]
    assert not journey.report("AAPL", []).arrived


async def test_a_mistake_of_our_own_is_not_a_lost_tick():
    """Anything else than an error for users ends the command."""

    async def wrong():
        raise KeyError("x")

    journey = Journey(1.0)
    journey.follow(Stop("a"), wrong())
    with pytest.raises(KeyError):
        await journey.finish()


def test_a_trail_knows_when_a_position_was_passed():
    """The first step at or behind a position counts, though it is asked for later."""
    trail = Trail()
    assert trail.first_from(0) is None
    for position in (3, 3, 7, 5, 9):
        trail.note(position)
    found = [trail.first_from(position) for position in (1, 3, 4, 8, 9)]
    assert [step[0] for step in found] == [3, 3, 7, 9, 9]
    assert found[0][1] <= found[2][1] <= found[3][1]
    assert trail.first_from(10) is None


async def test_questions_that_block_have_an_end(monkeypatch):
    """The answer, the error, or, from something that hangs, a StorageError in time; the thread is nobody's concern."""
    import threading

    from openbell.errors import StorageError
    from openbell.services.verify import looking

    assert await ask(lambda: 7) == 7
    with pytest.raises(BusError, match="gone"):
        await ask(lambda: (_ for _ in ()).throw(BusError("gone")))
    answers = iter([None, None, "now"])
    assert await look_until(lambda: next(answers), "it") == "now"
    monkeypatch.setattr(looking, "ANSWER_S", 0.05)
    hangs = threading.Event()
    with pytest.raises(StorageError, match=r"the database has not answered for 0.05 s"):
        await look_until(hangs.wait, "the database")
    hangs.set()
