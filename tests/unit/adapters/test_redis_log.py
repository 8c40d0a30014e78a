"""What a reader of a stream in Redis may hand over, and what it must say: by the ids and the epochs alone, without a server."""

import math

import pytest

from openbell.adapters.buses.redis.log import Log, split_id
from openbell.adapters.redis_link import from_channel, on_channel
from openbell.errors import BusError


def log(oldest, latest, following, *epochs):
    fields = {b"next": b"%d" % following, b"run": b"abc", **{b"%d" % epoch: b"%d" % start for epoch, start in epochs}}
    return Log.of("ticks, partition 0", fields, oldest, latest)


def test_an_id_is_an_epoch_and_an_offset():
    """Redis has no id 0-0, so the offset is one less than the number."""
    assert split_id(b"1795259193220-1") == (1795259193220, 0)


def test_nothing_was_ever_written():
    """A topic without messages begins and ends at 0."""
    empty = Log.of("ticks, partition 0", {}, b"", b"")
    assert (empty.first, empty.next, empty.at(0).after) == (0, 0, "0-0")
    assert empty.limit(0) == math.inf
    with pytest.raises(BusError, match="lost"):
        empty.at(1)


def test_a_place_is_behind_the_message_before_it():
    """The epoch of that message makes the id, also when an epoch had no message."""
    found = log(b"10-1", b"30-9", 9, (10, 0), (20, 5), (25, 7), (30, 7))
    assert [found.at(offset).after for offset in (0, 1, 5, 6, 7, 8, 9)] == ["0-0", "10-1", "10-5", "20-6", "20-7", "30-8", "30-9"]


def test_what_was_trimmed_is_gone():
    """Before the first message there is nothing to go on from."""
    found = log(b"10-6", b"10-9", 9, (10, 0))
    assert found.first == 5
    with pytest.raises(BusError, match="messages 3 to 4 of ticks, partition 0 are gone"):
        found.at(3)


def test_a_message_that_was_overwritten_is_lost():
    """Redis came back with five messages, and others have written more since."""
    before = log(b"10-1", b"10-8", 8, (10, 0))
    place = before.at(8)
    before.check(place)
    after = log(b"10-1", b"20-20", 20, (10, 0), (20, 5))
    with pytest.raises(BusError, match=r"messages 5 to 7 of .* were read and are lost.*from offset 5"):
        after.check(place)
    kept = before.at(5)
    after.check(kept)
    assert kept.limit == 5


def test_a_restart_that_lost_nothing_is_no_error():
    """The new epoch begins where the old one ended."""
    place = log(b"10-1", b"10-8", 8, (10, 0)).at(8)
    log(b"10-1", b"20-20", 20, (10, 0), (20, 8)).check(place)
    log(b"10-1", b"10-8", 8, (10, 0)).check(place)


def test_commands_of_a_torn_transaction_do_not_count():
    """Messages beyond `next`, or beyond the first offset of a newer epoch, were never confirmed."""
    torn = log(b"10-1", b"10-173", 0)
    assert (torn.first, torn.limit(10), torn.limit(11)) == (0, 0, math.inf)
    partly = log(b"10-1", b"10-173", 100, (10, 0))
    assert (partly.limit(10), partly.limit(20)) == (100, math.inf)
    written_since = log(b"10-1", b"20-50", 50, (10, 0), (20, 0))
    assert (written_since.first, written_since.limit(10), written_since.limit(20)) == (0, 0, math.inf)
    later = log(b"10-1", b"30-260", 260, (10, 0), (20, 100), (30, 200))
    assert [later.limit(epoch) for epoch in (10, 20, 30, 40)] == [100, 200, math.inf, math.inf]


@pytest.mark.parametrize(
    ("key", "payload"), [("", b"{}"), ("AAPL", b"{}"), ("", b""), ("", b"\0x"), ("AAPL 1m", b"\0\0"), ("Ü", bytes(range(256)))]
)
def test_a_message_on_a_channel_has_its_key_when_it_has_one(key, payload):
    """Whatever the bytes are, they come back; what has no key is what a person would write."""
    content = on_channel(key, payload)
    assert from_channel(content) == (key, payload)
    if not key and not payload.startswith(b"\0"):
        assert content == payload
