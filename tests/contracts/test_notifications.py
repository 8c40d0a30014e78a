"""Channels and the outbox of notifications, held to their contract in SQLite and in PostgreSQL."""

import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from openbell.adapters.stores.channels import CHANNELS_MAX, ChannelStore
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.delivery_log import DeliveryLog
from openbell.adapters.stores.notification_rows import News
from openbell.adapters.stores.notifications import Outbox
from openbell.adapters.stores.progress import Progress
from openbell.errors import FencedError, UnknownNameError, UsageError
from tests.contracts.stores import ENGINES, place_for, rows

NUMBERS = itertools.count(1)
NOW = 1_700_000_000_000_000_000


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def database(place):
    with contextlib.closing(open_database(place)) as opened:
        yield opened


@pytest.fixture
def channels(database):
    return ChannelStore(database)


@pytest.fixture
def outbox(database):
    return Outbox(database, waiting_max=10)


@pytest.fixture
def log(database):
    return DeliveryLog(database)


def user(database, name, role="trader"):
    """The id of a new user."""
    query = "INSERT INTO users (name, password_hash, role, created) VALUES (?, '', ?, 1) RETURNING id"
    return int(database.run(lambda sql: sql.select(query, (name, role)))[0][0])


def channel(channels, owner=0, name="phone", **changes):
    return channels.create(owner, name, b"sealed", kind="telegram", shown="tgram://1...2/3", **changes)


def news(id=None, owner=0, event="fill", severity="info", ts=NOW, **fields):
    return News(id or f"n{next(NUMBERS)}", owner, event, severity, ts, fields)


def told(outbox, channel):
    return [(one.news.id, one.severity) for one in outbox.waiting(channel.id, 100)]


def test_a_channel_from_its_making_to_its_end(channels):
    """It is listed, changed by its owner, and removed."""
    made = channel(channels, events=("fill", "kill"), minimum="warning", quiet="22:00-07:00", zone="Asia/Kolkata", house=True)
    assert (made.owner, made.events, made.minimum, made.house, made.enabled) == (0, ("fill", "kill"), "warning", True, True)
    assert (made.status, made.error, made.failures, made.sent) == ("new", "", 0, None)
    assert channels.find(0) == channels.find() == [made] == [channels.get(0, made.id)]
    changed = channels.update(0, made.id, name="mobile", events=(), minimum="info", enabled=False)
    assert (changed.name, changed.events, changed.minimum, changed.enabled, changed.quiet) == ("mobile", (), "info", False, "22:00-07:00")
    assert changed.changed > made.changed
    assert channels.sealed(made.id) == b"sealed"
    assert channels.delete(0, made.id)
    assert not channels.delete(0, made.id)
    assert (channels.find(), channels.sealed(made.id)) == ([], b"")


def test_the_address_is_in_no_row(channels):
    """Nor in the text of one."""
    made = channel(channels)
    assert "sealed" not in repr(made) + repr(channels.find())


def test_channels_of_others_are_not_there(channels, database):
    """Whoever names another's gets the same answer as for none."""
    ann, bob = user(database, "ann"), user(database, "bob")
    made = channel(channels, ann)
    channel(channels, bob)
    assert channels.find(ann) == [made]
    assert not channels.delete(bob, made.id)
    for ask in (lambda: channels.get(bob, made.id), lambda: channels.update(bob, made.id, name="x"), lambda: channels.get(bob, 999)):
        with pytest.raises(UnknownNameError, match="there is no channel"):
            ask()
    assert channels.get(None, made.id) == made
    database.run(lambda sql: sql.execute("DELETE FROM users WHERE id = ?", (ann,)))
    assert [row.owner for row in channels.find()] == [bob]


def test_a_name_is_taken_once(channels, database):
    """By its owner; others may have the same. And there are only so many."""
    ann = user(database, "ann")
    first = channel(channels)
    with pytest.raises(UsageError, match="already"):
        channel(channels)
    second = channel(channels, name="other")
    with pytest.raises(UsageError, match="already"):
        channels.update(0, second.id, name="phone")
    assert channels.update(0, first.id, name="phone").name == "phone"
    for number in range(CHANNELS_MAX):
        channel(channels, ann, f"c{number}")
    with pytest.raises(UsageError, match="at most"):
        channel(channels, ann, "one more")


def test_how_a_channel_stands(channels):
    """Is noted by who sends to it, unless its owner has changed it meanwhile."""
    made = channel(channels)
    assert channels.note(made, "ok", sent=NOW)
    assert channels.note(made, "failing", "502", 5)
    found = channels.get(0, made.id)
    assert (found.status, found.error, found.failures, found.sent, found.enabled) == ("failing", "502", 5, NOW, True)
    changed = channels.update(0, made.id, url=b"other", shown="x", kind="discord")
    assert (changed.status, changed.error, changed.failures, changed.kind) == ("new", "", 0, "discord")
    assert not channels.note(made, "disabled", "401")
    assert channels.moved(made, b"new", "y") is None
    assert channels.get(0, made.id) == changed
    assert channels.note(changed, "disabled", "401: Unauthorized")
    assert not channels.any_enabled()
    assert channels.update(0, made.id, enabled=True).status == "new"
    moved = channels.moved(channels.get(0, made.id), b"new", "y")
    assert (moved.shown, channels.sealed(made.id), channels.any_enabled()) == ("y", b"new", True)


def test_own_words(channels, database):
    """Of each user, by event; an empty text takes them back."""
    ann = user(database, "ann")
    channels.set_template(0, "fill", "a")
    channels.set_template(0, "fill", "b")
    channels.set_template(ann, "fill", "c")
    assert (channels.templates(0), channels.templates(ann)) == ({"fill": "b"}, {"fill": "c"})
    channels.set_template(0, "fill", "")
    assert channels.templates(0) == {}


def test_a_thing_is_told_once(channels, outbox):
    """However often it is said, and by whom."""
    made, other = channel(channels), channel(channels, name="other")
    first, second = news("a", price=231.07, note="ü @ <b>"), news("b")
    assert outbox.tell([first, second, first]) == 2
    assert outbox.tell([second, news("c"), first]) == 1
    assert told(outbox, made) == told(outbox, other) == [("a", 0), ("b", 0), ("c", 0)]
    assert outbox.waiting(made.id, 1)[0].news == first
    assert outbox.pending() == {made.id: 3, other.id: 3}


def test_a_thing_that_several_say_at_once(channels, outbox, place):
    """Is written by one of them."""
    made = channel(channels)
    same = [news(f"same{number}") for number in range(200)]
    big = Outbox(outbox._database, 10_000)
    with ThreadPoolExecutor(4) as threads:
        written = sum(threads.map(big.tell, [same, same[::-1], same, same]))
    assert written == len(same)
    assert len(big.waiting(made.id, 1000)) == 200
    assert rows(place, "SELECT count(*) FROM notifications") == [(200,)]


def test_who_wants_what(channels, outbox, database):
    """By event, by severity, by owner; what concerns the house goes to the house, and to those of administrators that want it."""
    ann, bob = user(database, "ann"), user(database, "bob", "admin")
    all_of_ann = channel(channels, ann)
    kills = channel(channels, ann, "kills", events=("kill",))
    urgent = channel(channels, ann, "urgent", minimum="critical")
    house = channel(channels, 0, "house")
    admin = channel(channels, bob, "admin", house=True)
    off = channel(channels, ann, "off")
    channels.update(ann, off.id, enabled=False)
    outbox.tell(
        [news("f", ann), news("k", ann, "kill", "critical"), news("w", ann, "risk", "warning"), news("h", 0, "disconnect", "critical")]
    )
    assert told(outbox, all_of_ann) == [("k", 2), ("f", 0), ("w", 1)]
    assert told(outbox, kills) == told(outbox, urgent) == [("k", 2)]
    assert told(outbox, house) == told(outbox, admin) == [("h", 2)]
    assert told(outbox, off) == []


def test_who_may_hear_it_no_more(channels, outbox, database):
    """An administrator who is one no more hears nothing of the house, and a user who is disabled hears nothing at all."""
    bob = user(database, "bob", "admin")
    made = channel(channels, bob, house=True)
    for change, expected in (("role = 'admin'", ["h1", "b1"]), ("role = 'trader'", ["b2"]), ("role = 'admin', disabled = 1", [])):
        number = len(expected) and expected[-1][1:]
        database.run(lambda sql, change=change: sql.execute(f"UPDATE users SET {change} WHERE id = ?", (bob,)))
        outbox.tell([news(f"h{number}", 0), news(f"b{number}", bob)])
        assert [one.news.id for one in outbox.waiting(made.id, 100)][-len(expected) or 100 :] == expected


def test_what_nobody_wants_is_not_kept(channels, outbox, place):
    """Nor counted as new."""
    assert outbox.tell([news()]) == 0
    channel(channels, events=("kill",))
    assert outbox.tell([news()]) == 0
    assert rows(place, "SELECT count(*) FROM notifications") == [(0,)]


def test_how_far_the_reader_has_come(channels, outbox):
    """Is stored with what it brought: both or neither."""
    made = channel(channels)
    known = outbox.progress("trading")
    step = known.advance(7)
    assert outbox.tell([news("a")], step) == 1
    assert outbox.progress("trading") == Progress("trading", 0, 7)
    with pytest.raises(FencedError):
        outbox.tell([news("b")], known.advance(9))
    assert told(outbox, made) == [("a", 0)]
    assert outbox.tell([], step.after.advance(8)) == 0
    assert outbox.progress("trading").position == 8


def test_what_became_of_it(channels, outbox, log):
    """It waits until it was sent; a mark that comes late changes nothing."""
    made = channel(channels)
    outbox.tell([news("a"), news("b"), news("c")])
    first, second, third = outbox.waiting(made.id, 10)
    outbox.mark(made.id, first.number, "waiting", 1, second.due + 10**12, "502")
    assert [one.news.id for one in outbox.waiting(made.id, 10)] == ["b", "c", "a"]
    outbox.mark(made.id, second.number, "sent", 1)
    outbox.mark(made.id, second.number, "failed", 2, error="late")
    outbox.mark(made.id, third.number, "failed", 3, error="400")
    found = {row.id: (row.state, row.attempts, row.error) for row in log.page()}
    assert found == {"a": ("waiting", 1, "502"), "b": ("sent", 1, ""), "c": ("failed", 3, "400")}
    assert log.counts() == {"waiting": 1, "sent": 1, "failed": 1}


def test_the_critical_first(channels, outbox):
    """Then in the order in which they are due; only the critical when that is asked."""
    made = channel(channels)
    outbox.tell([news("i"), news("w", severity="warning"), news("c", severity="critical"), news("d", severity="critical")])
    assert [one.news.id for one in outbox.waiting(made.id, 10)] == ["c", "d", "i", "w"]
    assert [one.news.id for one in outbox.waiting(made.id, 10, critical=True)] == ["c", "d"]
    assert [one.news.id for one in outbox.waiting(made.id, 3)] == ["c", "d", "i"]


def digest_of(survey):
    count = sum(survey.events.values()) + sum(one.fields["count"] for one in survey.digests)
    dropped = survey.dropped + sum(one.fields["dropped"] for one in survey.digests)
    fields = {"count": count, "dropped": dropped, "events": survey.events, "samples": [one.id for one in survey.samples]}
    return News("digest", survey.owner, "digest", survey.worst, survey.last_ts, fields)


def test_a_digest_takes_the_place_of_what_waits(channels, outbox, log):
    """It counts what it stands for; what comes meanwhile stays, and a second digest takes the first with it."""
    made, other = channel(channels), channel(channels, name="other")
    outbox.tell([news(f"f{number}", ts=NOW + number) for number in range(4)] + [news("k", event="kill", severity="critical", ts=NOW - 1)])
    surveys = []
    assert outbox.digest(made.id, lambda survey: surveys.append(survey) or digest_of(survey)) == 5
    [survey] = surveys
    assert (survey.events, survey.worst, survey.first_ts, survey.last_ts) == ({"fill": 4, "kill": 1}, "critical", NOW - 1, NOW + 3)
    assert [one.id for one in survey.samples] == ["k", "f0", "f1", "f2", "f3"]
    [one] = outbox.waiting(made.id, 10)
    assert (one.news.event, one.severity, one.news.fields["count"]) == ("digest", 2, 5)
    assert len(outbox.waiting(other.id, 10)) == 5
    outbox.tell([news("g"), news("h")])
    assert outbox.digest(made.id, digest_of) == 3
    [two] = outbox.waiting(made.id, 10)
    assert (two.news.fields["count"], two.news.fields["events"]) == (7, {"fill": 2})
    assert two.number > one.number
    assert {row.digest for row in log.page(channel=made.id, state="digested")} == {one.number, two.number}
    outbox.mark(made.id, two.number, "sent", 1)
    assert outbox.digest(made.id, digest_of) == 0


def test_a_digest_of_the_critical_leaves_the_rest(channels, outbox):
    """For hours in which only these are told."""
    made = channel(channels)
    outbox.tell([news("i"), news("c", severity="critical"), news("d", severity="critical")])
    assert outbox.digest(made.id, digest_of, critical=True) == 2
    assert [one.news.event for one in outbox.waiting(made.id, 10)] == ["digest", "fill"]


def test_a_digest_that_fails_changes_nothing(channels, outbox):
    """It is one transaction."""
    made = channel(channels)
    outbox.tell([news("a"), news("b")])
    with pytest.raises(ZeroDivisionError):
        outbox.digest(made.id, lambda survey: survey.dropped / 0)
    assert told(outbox, made) == [("a", 0), ("b", 0)]


def test_when_too_many_wait(channels, outbox, log):
    """Information goes first and the oldest before the newest; what is critical goes last, and all of it is counted."""
    made = channel(channels)
    outbox.tell([news(f"c{number}", severity="critical") for number in range(6)])
    outbox.tell([news(f"i{number}") for number in range(6)])
    assert sorted(row.id for row in log.page(state="dropped")) == ["i0", "i1"]
    outbox.tell([news(f"w{number}", severity="warning") for number in range(2)])
    outbox.tell([news(f"k{number}", severity="critical") for number in range(5)])
    assert {one.severity for one in outbox.waiting(made.id, 20)} == {2}
    assert sorted(row.id for row in log.page(state="dropped")) == ["c0", "i0", "i1", "i2", "i3", "i4", "i5", "w0", "w1"]
    outbox.digest(made.id, digest_of)
    outbox.tell([news("last")])
    outbox.digest(made.id, digest_of)
    [one] = outbox.waiting(made.id, 10)
    assert (one.news.fields["count"], one.news.fields["dropped"]) == (11, 9)
    assert outbox.digest(made.id, lambda survey: digest_of(survey)) == 1
    assert outbox.waiting(made.id, 10)[0].news.fields["dropped"] == 9


def test_a_digest_is_not_dropped(channels, outbox):
    """It stands for many."""
    made = channel(channels)
    outbox.tell([news("a"), news("b")])
    outbox.digest(made.id, digest_of)
    outbox.tell([news(severity="critical") for _ in range(20)])
    assert "digest" in {one.news.event for one in outbox.waiting(made.id, 20)}


def test_what_is_old(channels, outbox, log, place):
    """Is given up when it waits, and forgotten when it does not."""
    made = channel(channels)
    outbox.tell([news("a"), news("b"), news("c")])
    first, second, _ = outbox.waiting(made.id, 10)
    outbox.mark(made.id, first.number, "sent", 1)
    outbox.mark(made.id, second.number, "waiting", 1, error="502")
    assert (outbox.expire(NOW), outbox.forget(NOW)) == (0, 0)
    later = 2 * NOW
    assert outbox.forget(later) == 1
    assert outbox.expire(later) == 2
    assert {row.id: row.error for row in log.page()} == {"b": "it waited too long: 502", "c": "it waited too long"}
    assert outbox.forget(later, most=1) == 1
    assert outbox.forget(later) == 1
    assert rows(place, "SELECT count(*) FROM deliveries") == [(0,)]


def test_pages_of_the_log(channels, outbox, log, database):
    """Newest first, each row once, only one's own."""
    ann = user(database, "ann")
    one, two, other = channel(channels, ann), channel(channels, ann, "two"), channel(channels)
    outbox.tell([news(f"a{number}", ann) for number in range(5)] + [news("house")])
    assert [(row.id, row.channel) for row in log.page(0)] == [("house", other.id)]
    pages, before = [], None
    while page := log.page(ann, before=before, limit=3):
        pages += page
        before = (page[-1].number, page[-1].channel)
    assert [(row.id, row.channel_name) for row in pages] == [
        (f"a{number}", name) for number in (4, 3, 2, 1, 0) for name in ("two", "phone")
    ]
    assert {row.channel for row in log.page(ann, channel=one.id)} == {one.id}
    assert log.page(ann, channel=other.id) == log.page(ann, state="failed") == log.page(ann, limit=0) == []
    assert log.counts(ann) == {"waiting": 10}
    channels.delete(ann, two.id)
    assert log.counts(ann) == {"waiting": 5}
    assert outbox.pending() == {one.id: 5, other.id: 1}
