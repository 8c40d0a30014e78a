"""Groups of the live stream: numbers, pieces, and what is left for who is behind."""

import json

from openbell.services.gateway import groups
from openbell.services.gateway.frames import message_frame, shortened, text_frame
from openbell.services.gateway.groups import Group, Wish


def messages_of(frames):
    """The messages in frames of a server."""
    found = []
    while frames:
        assert frames[0] == 0x81
        size, head = frames[1], 2
        if size == 126:
            size, head = int.from_bytes(frames[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(frames[2:10], "big"), 10
        found.append(json.loads(frames[head : head + size]))
        frames = frames[head + size :]
    return found


def made():
    return Group(Wish(frozenset({"prices", "orders", "portfolio"}), None, None, None))


def member(group, behind=False):
    one = Someone(group.seq)
    (group.behind if behind else group.members).add(one)
    return one


class Someone:
    """Of a client a group looks at the number only."""

    def __init__(self, seq):
        self.seq = seq


def price(**prices):
    return {symbol: json.dumps(symbol).encode() + b":" + json.dumps(value).encode() for symbol, value in prices.items()}


def say_prices(group, **prices):
    found = price(**prices)
    group.say("prices", groups.prices_of(found), "prices", found)


def test_frames_of_every_length():
    """The three ways in which a frame says how long it is."""
    for size in (0, 1, 125, 126, 65_535, 65_536, 200_000):
        text = json.dumps("a" * size).encode()
        assert messages_of(text_frame(text)) == ["a" * size]
    assert messages_of(message_frame("prices", 7, 6, b"{}")) == [{"channel": "prices", "seq": 7, "prev": 6, "data": {}}]
    assert messages_of(message_frame("snapshot", 7, None, b"{}"))[0]["prev"] is None


def test_a_reason_is_cut_between_letters():
    """A close frame holds 123 bytes, whatever letters they are."""
    assert shortened("short") == "short"
    assert shortened("é" * 100) == "é" * 61


def test_who_keeps_pace_is_sent_every_message_and_the_same_bytes():
    """Numbered without a gap; two who are at the same place get one object."""
    group = made()
    member(group)
    say_prices(group, A=1)
    group.say("orders", b"1")
    frames, seq = group.after(0)
    assert (frames is group.after(0)[0], seq) == (True, 2)
    assert [(one["seq"], one["prev"]) for one in messages_of(frames)] == [(1, 0), (2, 1)]
    assert [one["seq"] for one in messages_of(group.after(1)[0])] == [2]


def test_much_is_handed_out_in_pieces():
    """At most about 64 KiB at once, but always a message."""
    group = made()
    member(group)
    for number in range(10):
        group.say("orders", json.dumps("x" * 20_000 + str(number)).encode())
    group.say("orders", json.dumps("x" * 200_000).encode())
    seq, sizes = 0, []
    while seq < group.seq:
        frames, seq = group.after(seq)
        sizes.append(len(frames))
    assert len(sizes) == 5
    assert max(sizes[:-1]) <= groups.PIECE_BYTES < sizes[-1]


def test_what_everybody_has_is_let_go_of():
    """Nothing is kept for nobody; what one still needs is."""
    group = made()
    first, second = member(group), member(group)
    group.say("orders", b"1")
    group.say("orders", b"2")
    first.seq, second.seq = 2, 1
    group.settle()
    assert not group.is_level
    assert [one["data"] for one in messages_of(group.after(1)[0])] == [2]
    second.seq = 2
    group.settle()
    assert group.is_level


def test_who_is_behind_gets_events_and_the_newest():
    """Orders in order, each once; of prices and the portfolio the newest; chained, and at the end where the group is."""
    group = made()
    member(group).seq = 99
    slow = member(group, behind=True)
    say_prices(group, A=1, B=1)
    group.say("orders", b"1")
    group.say("portfolio", b"1", "portfolio")
    group.settle()
    say_prices(group, A=2)
    group.say("portfolio", b"2", "portfolio")
    group.say("orders", b"2")
    group.settle()
    found = messages_of(b"".join(group.left_of(slow.seq)))
    assert [(one["channel"], one["data"]) for one in found] == [
        ("orders", 1),
        ("prices", {"A": 2, "B": 1}),
        ("portfolio", 2),
        ("orders", 2),
    ]
    assert [one["prev"] for one in found] == [0, *[one["seq"] for one in found[:-1]]]
    assert found[-1]["seq"] == group.seq
    assert [one["seq"] for one in messages_of(b"".join(group.left_of(2)))] == [4, 5, 6]


def test_who_is_too_far_behind_has_missed_something(monkeypatch):
    """The events that wait are bounded; prices alone never make anybody go."""
    monkeypatch.setattr(groups, "EVENTS_MAX", 3)
    group = made()
    slow = member(group, behind=True)
    for number in range(100):
        say_prices(group, A=number)
    group.settle()
    assert messages_of(b"".join(group.left_of(slow.seq)))[0]["data"] == {"A": 99}
    for _ in range(4):
        group.say("orders", b"1")
    group.settle()
    assert group.left_of(slow.seq) is None
    assert len(group.left_of(group.lost)) == 3


def test_nothing_is_kept_when_nobody_is_behind():
    """Who falls behind later begins with what was said since."""
    group = made()
    slow = member(group, behind=True)
    say_prices(group, A=1)
    group.settle()
    group.behind.discard(slow)
    here = member(group)
    say_prices(group, B=2)
    here.seq = group.seq
    group.settle()
    late = member(group, behind=True)
    say_prices(group, C=3)
    group.settle()
    assert [one["data"] for one in messages_of(b"".join(group.left_of(late.seq)))] == [{"C": 3}]
