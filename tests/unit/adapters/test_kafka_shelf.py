"""What a subscription of Kafka remembers between its thread and the loop, without a server: see `openbell.adapters.buses.kafka.shelf`."""

import asyncio
import threading

import pytest

from openbell.adapters.buses.base import Message, Overflow, Topic
from tests.running import until

pytest.importorskip("confluent_kafka", reason="the extra `services` is not installed")

from openbell.adapters.buses.kafka.shelf import Shelf

ORDERS = Topic("orders", Overflow.BLOCK, 4)
SCREEN = Topic("screen", Overflow.CONFLATE, 10)
A, B = ("orders", 0), ("orders", 1)


def message(place, offset, key=""):
    return Message(place[0], b"%d" % offset, key, place[1], offset)


@pytest.fixture
def shelf():
    made = Shelf([ORDERS], is_group=True)
    made.assign({A: 10, B: -2})
    return made


def take(shelf, most=0):
    return [(message.partition, message.offset) for message in shelf.take_now(most)]


def test_what_was_acknowledged_is_committed_once(shelf):
    """By partition the offset behind the last message that was taken and acknowledged."""
    shelf.put_all([message(A, 10), message(A, 11), message(B, 0)])
    assert take(shelf) == [(0, 10), (0, 11), (1, 0)]
    assert shelf.done() == {}
    shelf.ack()
    assert shelf.done() == {A: 12, B: 1}
    assert shelf.done() == {}


def test_a_commit_that_failed_is_told_again_unless_there_is_news(shelf):
    """The newer offset stays."""
    shelf.put_all([message(A, 10), message(B, 0)])
    take(shelf)
    shelf.ack()
    failed = shelf.done()
    shelf.put_all([message(A, 11)])
    take(shelf)
    shelf.ack()
    shelf.not_committed(failed)
    assert shelf.done() == {A: 12, B: 1}


def test_a_partition_that_goes_is_drained(shelf):
    """What waits of it is not handed over any more, what was taken is waited for, and then committed by who let it go."""
    shelf.put_all([message(A, 10), message(B, 0), message(A, 11)])
    assert take(shelf, 1) == [(0, 10)]
    drained = []
    draining = threading.Thread(target=lambda: drained.append(shelf.drain({A}, 20)))
    draining.start()
    until(lambda: len(shelf) == 1, what="the buffer without partition 0")
    assert take(shelf) == [(1, 0)]
    assert draining.is_alive()
    shelf.ack()
    draining.join(20)
    assert drained == [({A: 11}, set())]
    shelf.let_go({A})
    assert set(shelf.held) == {B}
    assert shelf.done() == {B: 1}


def test_who_does_not_acknowledge_is_waited_for_a_bounded_time(shelf):
    """Then nothing is committed of it, and a late `ack` is for what is still ours."""
    shelf.put_all([message(A, 10), message(B, 0)])
    take(shelf)
    assert shelf.drain({A}, 0.01) == ({}, {A})
    shelf.let_go({A})
    shelf.ack()
    assert shelf.done() == {B: 1}


def test_a_message_of_a_partition_that_has_gone_is_not_ours(shelf):
    """It was fetched before the partition went, and comes to its new holder."""
    shelf.let_go({A})
    shelf.put_all([message(A, 10), message(B, 0)])
    assert take(shelf) == [(1, 0)]


def test_a_partition_that_comes_back_goes_on_behind_what_was_acknowledged(shelf):
    """Also when the server was not told before it was lost; where it knows more than we, it is right."""
    shelf.put_all([message(A, 10), message(B, 0)])
    take(shelf)
    shelf.ack()
    shelf.drain({A, B}, 0)
    shelf.let_go({A, B})
    assert shelf.resume({A: 10, B: 5}) == {A: 11, B: 5}
    shelf.assign({A: 11, B: 5})
    assert shelf.done() == {A: 11}
    assert shelf.held == {A: 2, B: 2}


def test_with_conflate_nothing_that_waits_is_acknowledged():
    """The newest of one key may be taken while an older message of another waits: a crash must not lose that."""
    shelf = Shelf([SCREEN], is_group=True)
    place = ("screen", 0)
    shelf.assign({place: 0})
    shelf.put_all([message(place, 0, "a"), message(place, 1, "b"), message(place, 2, "a")])
    assert take(shelf, 1) == [(0, 2)]
    shelf.ack()
    assert shelf.done() == {place: 1}
    assert take(shelf) == [(0, 1)]
    shelf.ack()
    assert shelf.done() == {place: 2}


def test_room_is_that_of_the_fullest_topic(shelf):
    """The thread asks before it reads; a topic that is paused does not count."""
    assert shelf.room(()) == 4
    shelf.put_all([message(A, 10), message(A, 11), message(A, 12)])
    assert (shelf.room(()), shelf.half_empty(), shelf.full()) == (1, set(), set())
    shelf.put_all([message(A, 13)])
    assert shelf.full() == {"orders"}
    assert not shelf.wait_for_room((), 0.01)
    assert shelf.wait_for_room({"orders"}, 0.01)
    assert shelf.room({"orders"}) is None
    take(shelf, 2)
    assert shelf.half_empty() == {"orders"}


def test_a_closed_topic_ends_where_it_was(shelf):
    """Once everything before is read; not before the partitions are ours, and not while another topic goes on."""
    fresh = Shelf([ORDERS], is_group=True)
    fresh.end_at({A: 0})
    assert not fresh.at_end()
    shelf.end_at({A: 11, B: 0})
    assert not shelf.at_end()
    shelf.put_all([message(A, 10)])
    assert shelf.at_end()
    both = Shelf([ORDERS, SCREEN], is_group=False)
    both.assign({A: 0, ("screen", 0): 0})
    both.end_at({A: 0})
    assert not both.at_end()


async def test_leaving_keeps_or_clears(shelf):
    """Whoever disconnects may take what has arrived; whoever leaves gets nothing more."""
    shelf.put_all([message(A, 10)])
    shelf.leave(keep=True)
    shelf.put_all([message(A, 11)])
    assert [one.offset for one in await shelf.take()] == [10]
    assert await asyncio.wait_for(shelf.take(), 5) == []
    gone = Shelf([ORDERS], is_group=False)
    gone.assign({A: 0})
    gone.put_all([message(A, 0)])
    gone.leave(keep=False)
    assert await asyncio.wait_for(gone.take(), 5) == []
