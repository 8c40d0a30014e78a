"""The messages that a RabbitMQ server has not confirmed: bounded, in order, sent again; without a server."""

import hypothesis.strategies as st
from hypothesis import given

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.rabbitmq.lane import Lane, Outgoing
from openbell.adapters.buses.rabbitmq.letters import REASON_MAX, Delivery, as_dead_letter, for_another_attempt, seconds_until_due
from openbell.adapters.buses.rabbitmq.topology import Topology, partition_of


def lane(overflow=Overflow.BLOCK, buffer=4):
    return Lane(Topic("orders", overflow, buffer))


def offer(lane, *numbers, key=""):
    return [lane.offer(Outgoing("orders", b"%d" % number, key, number=number)) for number in numbers]


def numbers(messages):
    return [message.number for message in messages]


def test_block_counts_what_waits_and_what_is_in_flight():
    """A lane has room again when something is confirmed, not when it is sent."""
    one = lane()
    assert offer(one, 1, 2, 3, 4, 5) == [True] * 4 + [False]
    assert numbers(one.next(3)) == [1, 2, 3]
    assert offer(one, 5) == [False]
    one.confirmed(2)
    assert offer(one, 5) == [True]
    assert (one.count.published, one.count.refused, len(one)) == (5, 2, 4)


def test_after_a_break_everything_unconfirmed_comes_first():
    """In the order in which it was offered, whatever was confirmed in between."""
    one = lane(buffer=10)
    offer(one, 1, 2, 3, 4, 5)
    one.next(4)
    one.confirmed(2)
    one.lost()
    assert numbers(one.next(10)) == [1, 3, 4, 5]


def test_a_refusal_brings_everything_behind_it_back_first():
    """Nothing new is sent until all that was in flight has been answered; then the refused go again, one at a time, then more."""
    one = lane(buffer=10)
    offer(one, *range(1, 9))
    one.next(4)
    one.refused(2)
    assert not one.can_send
    one.confirmed(1)
    one.confirmed(3)
    assert one.pause is None
    one.refused(4)
    assert one.pause is not None
    assert not one.can_send
    first = one.pause
    one.resume()
    assert numbers(one.next(10)) == [2]
    one.refused(2)
    assert one.pause == 2 * first
    one.resume()
    assert numbers(one.next(10)) == [2]
    one.confirmed(2)
    assert numbers(one.next(10)) == [4, 5]
    one.confirmed(4)
    one.confirmed(5)
    assert numbers(one.next(10)) == [6, 7, 8]


def test_a_topic_that_may_lose_gives_up_what_was_not_sent():
    """DROP_OLDEST keeps the newest, CONFLATE the newest of each key; what is in flight is not touched."""
    drops = lane(Overflow.DROP_OLDEST, 2)
    offer(drops, 1, 2)
    drops.next(2)
    offer(drops, 3, 4, 5)
    drops.confirmed(1)
    drops.confirmed(2)
    assert numbers(drops.next(9)) == [4, 5]
    assert drops.count.dropped == 1
    conflates = lane(Overflow.CONFLATE, 2)
    offer(conflates, 1, 2, 3, key="a")
    assert numbers(conflates.next(9)) == [3]
    assert conflates.count.dropped == 2


def test_flushing_looks_at_the_oldest():
    """Infinity when nothing is left."""
    one = lane()
    assert one.oldest() == float("inf")
    offer(one, 7, 8)
    assert one.oldest() == 7
    one.next(2)
    one.confirmed(7)
    assert one.oldest() == 8
    one.refused(8)
    assert one.oldest() == 8


def test_what_a_server_never_takes_is_given_up():
    """The first message above the server's limit, wherever it waits to be sent again."""
    one = lane()
    one.offer(Outgoing("orders", b"small", number=1))
    one.offer(Outgoing("orders", b"x" * 100, number=2))
    one.next(9)
    one.lost()
    assert one.give_up(50).number == 2
    assert one.give_up(50) is None
    assert numbers(one.next(9)) == [1]


@given(st.lists(st.tuples(st.sampled_from(["offer", "send", "confirm", "refuse", "lose", "resume"]), st.integers(0, 9)), max_size=120))
def test_nothing_is_ever_lost_or_sent_out_of_order(steps):
    """Whatever happens in whatever order: what was accepted is confirmed in the end, and each batch is in order."""
    one, offered, accepted, confirmed, in_flight = lane(buffer=8), 0, [], set(), []
    for step, which in steps:
        if step == "offer":
            offered += 1
            if offer(one, offered) == [True]:
                accepted.append(offered)
        elif step == "send" and one.can_send:
            batch = numbers(one.next(1 + which))
            assert batch == sorted(batch)
            assert not in_flight or not batch or batch[0] > max(in_flight)
            in_flight += batch
        elif step in ("confirm", "refuse") and in_flight:
            number = in_flight.pop(which % len(in_flight))
            if step == "confirm":
                one.confirmed(number)
                confirmed.add(number)
            else:
                one.refused(number)
        elif step == "lose":
            one.lost()
            in_flight = []
        elif step == "resume":
            one.resume()
        assert len(one) <= 8
    one.lost()
    while one.can_send:
        for number in numbers(one.next(9)):
            one.confirmed(number)
            confirmed.add(number)
    assert sorted(confirmed) == accepted
    assert len(one) == 0


def test_headers_of_what_is_handed_back():
    """Another attempt knows when it is due, a dead letter where it came from; a reason has an end."""
    message = Delivery("orders", b"1", "AAPL", 2, attempt=3)
    again = for_another_attempt(message, "x" * 5000, 1.5)
    assert again.headers["attempt"] == 4
    assert len(again.headers["reason"]) == REASON_MAX
    assert 1.0 < seconds_until_due(again) <= 1.5
    again.headers["due_ns"] += 3_600_000_000_000
    assert seconds_until_due(again) == 1.5  # another machine's clock is an hour ahead
    again.headers = {"due_ns": "nonsense"}
    assert seconds_until_due(again) == 0.0
    letter = as_dead_letter(message, "no", "desk", "openbell.orders.desk").headers
    assert (letter["topic"], letter["group"], letter["key"], letter["attempts"]) == ("orders", "desk", "AAPL", 3)
    assert (letter["partition"], letter["queue"], letter["reason"]) == (2, "openbell.orders.desk", "no")


def test_names_and_arguments():
    """One partition has the plain name; several are numbered; a key belongs to the same one in every process."""
    topology = Topology()
    alone, shared = Topic("orders"), Topic("prices", partitions=4)
    assert topology.group(alone, "desk", 0).name == "openbell.orders.desk"
    assert topology.group(shared, "desk", 3).name == "openbell.prices.desk.3"
    assert topology.group(alone, "desk", 0).arguments["x-overflow"] == "reject-publish"
    assert topology.group(Topic("ticks", Overflow.DROP_OLDEST, 7), "desk", 0).arguments["x-max-length"] == 7
    assert "x-delivery-limit" in Topology(queue_type="quorum").group(alone, "desk", 0).arguments
    assert topology.private(Topic("ticks", Overflow.DROP_OLDEST), "me").exclusive
    assert not topology.private(alone, "me").exclusive
    assert [partition_of(shared, key) for key in ("AAPL", "MSFT", "BTCUSDT", "")] == [0, 3, 3, 0]
    assert {partition_of(shared, f"key{number}") for number in range(50)} == {0, 1, 2, 3}
    assert partition_of(alone, "AAPL") == 0
