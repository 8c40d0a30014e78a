"""What the stops mean in words."""

import pytest

from openbell.adapters.messages.control import ErrorReply, StatusReply
from openbell.services.verify.journey import Stop
from openbell.services.verify.verdict import by_process, verdict


def reply(process="processor", service="processor", state="running", **more):
    return StatusReply(sender=f"{process}-812-3f2a91", service=service, state=state, **more)


def stops(**states):
    """Kafka, Redis and the database; all ok but those that are named."""
    found = [Stop("Kafka"), Stop("Redis", "processor", "Kafka"), Stop("SQLite", "processor", "Kafka")]
    for stop in found:
        stop.state, stop.ms = states.get(stop.name, "ok"), 12.0
    return found


def test_it_arrived():
    """One sentence with the time of the last stop."""
    assert verdict("AAPL", stops()) == ["The marked tick of AAPL arrived everywhere in 12 ms."]


def test_nobody_is_there():
    """The process that does not answer is named with what starts it, once for all that it did not do."""
    (told,) = verdict("AAPL", stops(Redis="lost", SQLite="lost"), by_process([reply("trader"), reply("ingest")]))
    assert told == (
        "Lost between Kafka and Redis, SQLite: no process `processor` answers on the control channel; ingest, trader do. "
        "Start it with `openbell serve processor`, or read its log if it hangs."
    )


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ([reply(state="failed", detail="the disk is full")], "processor of the process `processor` is failed: the disk is full."),
        ([reply(detail="2 symbols")], "answers, but was not there in time (processor: 2 symbols). Wait longer with --timeout"),
        ([reply(), reply(service="follower", detail="main-3", queue=1_200)], "(follower: main-3, 1,200 waiting)"),
        ([ErrorReply(detail="no")], "no process `processor` answers on the control channel. Start it"),
    ],
)
def test_what_the_process_says_is_told(replies, words):
    """One that has failed, one that works, one that is behind, none."""
    assert words in verdict("AAPL", stops(Redis="lost"), by_process(replies))[0]


def test_a_reason_that_is_known_is_all_that_is_said():
    """Each place where it was lost has a sentence of its own."""
    found = stops(Kafka="lost", Redis="not reached", SQLite="not reached")
    (told,) = verdict("AAPL", found, {})
    assert told == "Lost before Kafka: the server did not say so in time. See `openbell doctor`, or wait longer with --timeout."
    found = [*stops(Redis="lost"), Stop("kernel", "trader-second", "Kafka", "lost")]
    found.append(Stop("page", "gateway", "Redis", "lost", why="Nobody listens."))
    first, second, third = verdict("AAPL", found, None)
    assert "nobody could be asked how `processor` stands" in first
    assert "nobody could be asked how `trader-second` stands" in second
    assert third == "Lost between Redis and page: Nobody listens."
    assert "`openbell serve trader --trader second`" in verdict("AAPL", found, {})[1]
