"""The rows of alerts and of their firings, held to their contract in SQLite and in PostgreSQL."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from openbell.adapters.stores import revisions
from openbell.adapters.stores.alert_rules import Schedule, Series, Spec
from openbell.adapters.stores.alerts import AlertStore, Change, Firing, NewAlert
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import Progress
from openbell.adapters.stores.sqlite_database import APPLICATION_ID
from openbell.errors import FencedError, UnknownNameError, UsageError
from tests.contracts.stores import ENGINES, change, place_for, rows

READER = "alerts t"
RSI = Spec(indicator=Series("rsi", "5m"))


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where this test's alerts are."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def store(place):
    with contextlib.closing(open_database(place)) as opened:
        yield AlertStore(opened)


@pytest.fixture
def owners(place, store):
    """The ids of two users."""
    for name in ("ann", "bob"):
        change(place, "INSERT INTO users (name, password_hash, role, created) VALUES (?, '', 'trader', 0)", name)
    return [id for (id,) in rows(place, "SELECT id FROM users ORDER BY name")]


def wanted(symbol="AAPL", condition="above", target_price=150.0, **more):
    return NewAlert(symbol, condition, target_price, **more)


def step(position, expected=0):
    return Progress(READER, 0, expected).advance(position, state=b"state %d" % position)


def fire(row, ts=1, number=1, status="triggered", price=1.0):
    """What is recorded when an alert came."""
    firing = Firing(row.id, number, row.revision, ts, price, price)
    return firing, Change(row.id, row.revision, status, 1, number, firing)


def record(store, advance, *fired):
    store.record([firing for firing, _ in fired], [state for _, state in fired], advance)


def ids(found):
    return [row.id for row in found]


def standing(store, *symbols):
    return [row.id for part in store.standing(symbols) for row in part]


def untold(store, most=10):
    return [(event.alert, event.number) for event in store.untold(READER, [0], most)]


def test_an_alert_from_its_making_to_its_end(store):
    """It is active, is triggered by one tick, and is listed until it is removed; the firing stays."""
    [made] = store.create(0, wanted())
    assert (made.owner, made.symbol, made.condition, made.target_price, made.status) == (0, "AAPL", "above", 150.0, "active")
    assert (made.triggered_ts, made.triggered_price, made.fired) == (None, None, 0)
    assert standing(store, "AAPL", "MSFT") == [made.id]
    assert store.find() == [made]
    record(store, step(5), fire(made, 17, price=150.5))
    [found] = store.find()
    assert (found.status, found.triggered_ts, found.triggered_price, found.fired) == ("triggered", 17, 150.5, 1)
    assert standing(store, "AAPL") == []
    [event] = store.events()
    assert (event.alert, event.number, event.ts, event.value, event.price) == (made.id, 1, 17, 150.5, 150.5)
    assert store.progress(READER, 0) == Progress(READER, 0, 5, b"", b"state 5")
    assert store.delete(0, made.id)
    assert store.find() == []
    assert store.events() == [event]
    assert not store.delete(0, made.id)
    assert not store.delete(0, made.id + 1)


def test_everything_that_an_alert_may_say(store):
    """Is there again, and what evaluates it reads the same."""
    schedule = Schedule(zone="Europe/Berlin", days=("mon", "fri"), start="22:00", end="06:00")
    one = wanted("BTCUSDT", "indicator_below", 30.0, spec=RSI, mode="every", cooldown_s=90.5, hysteresis=5.0, expires=77, schedule=schedule,
                 note="buy → now")  # fmt: skip
    spec = Spec(indicator=Series("price"), against=Series("bollinger", "1h", {"width": 2.5}, "upper"))
    two = wanted("BTCUSDT", "indicator_crosses", 0.0, spec=spec, schedule=Schedule("us"))
    made = store.create(0, one, two)
    assert [NewAlert(**row.rule()) for row in made] == [one, two]
    assert store.find() == made
    [[first, second]] = store.standing(["BTCUSDT"])
    assert first[1:10] == (
        "BTCUSDT", "indicator_below", 30.0, '{"indicator":{"name":"rsi","params":{"length":14},"timeframe":"5m"}}', "every", 90.5, 5.0, 77,
        '{"days":["mon","fri"],"end":"06:00","start":"22:00","zone":"Europe/Berlin"}',
    )  # fmt: skip
    assert second.schedule == '{"session":"us"}'


def test_what_is_found(store, owners):
    """Of an owner, of a symbol, of a status, in pages."""
    ann, bob = owners
    one, two, three = store.create(ann, wanted(), wanted("MSFT", "below"), wanted("MSFT", "crosses"))
    [four] = store.create(bob, wanted())
    [five] = store.create(0, wanted())
    record(store, step(1), fire(two))
    assert ids(store.find()) == [one.id, two.id, three.id, four.id, five.id]
    assert ids(store.find(ann)) == [one.id, two.id, three.id]
    assert ids(store.find(0)) == [five.id]
    assert ids(store.find(None, "MSFT")) == [two.id, three.id]
    assert ids(store.find(ann, "MSFT", "active")) == standing(store, "MSFT", "NVDA") == [three.id]
    assert ids(store.find(bob, status="triggered")) == []
    assert ids(store.find(limit=2)) == [one.id, two.id]
    assert ids(store.find(after=two.id, limit=2)) == [three.id, four.id]
    assert [event.owner for event in store.events()] == [ann]
    assert store.events(bob) == []


def test_nobody_touches_the_alerts_of_another(store, owners):
    """To another owner it is as if they were not there; None may do everything."""
    ann, bob = owners
    [made] = store.create(ann, wanted())
    assert not store.delete(bob, made.id)
    assert not store.delete(0, made.id)
    with pytest.raises(UnknownNameError):
        store.update(bob, made.id, target_price=1.0)
    assert store.find() == [made]
    assert store.update(None, made.id, target_price=1.0).owner == ann
    assert store.delete(None, made.id)


def test_firings_are_read_in_order_and_in_pages(store):
    """By their numbers, which grow over all alerts, since one that is known, of one alert."""
    one, two = store.create(0, wanted(mode="every"), wanted("MSFT"))
    record(store, step(1), fire(one, 10, 1, "active"), fire(two, 11), fire(one, 12, 2, "active"))
    record(store, step(2, 1), fire(one, 13, 3, "active"))
    events = store.events()
    assert [(event.alert, event.number, event.ts) for event in events] == [
        (one.id, 1, 10),
        (two.id, 1, 11),
        (one.id, 2, 12),
        (one.id, 3, 13),
    ]
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert store.events(since=events[1].seq) == events[2:]
    assert store.events(alert=two.id) == store.events(symbol="MSFT") == events[1:2]
    assert store.events(limit=1) == events[:1]
    assert (store.find()[0].status, store.find()[0].fired, store.find()[0].triggered_ts) == ("active", 3, 13)


def test_what_an_owner_changed_meanwhile_stays(store):
    """Whoever finds an alert removed, paused or changed leaves it as it is, and the progress is stored all the same."""
    made = store.create(0, *(wanted() for _ in range(4)))
    store.delete(0, made[0].id)
    store.update(0, made[1].id, status="paused")
    changed = store.update(0, made[2].id, target_price=151.0)
    record(store, step(5), *(fire(row, 10) for row in made))
    assert [(row.id, row.status, row.triggered_ts) for row in store.find()] == [
        (made[1].id, "paused", None), (made[2].id, "active", None), (made[3].id, "triggered", 10)
    ]  # fmt: skip
    assert [event.alert for event in store.events()] == [made[3].id]
    record(store, step(6, 5), fire(changed, 11))
    assert [event.target_price for event in store.events()] == [150.0, 151.0]


def test_who_was_taken_over_records_nothing(store):
    """Neither the alert nor the progress is written."""
    [made] = store.create(0, wanted())
    store.record([], [], step(5))
    with pytest.raises(FencedError):
        record(store, step(7), fire(made))
    assert (store.find(), store.events()) == ([made], [])
    assert store.progress(READER, 0).position == 5


def test_a_state_without_a_firing(store):
    """What is armed, and what has expired, is written as well."""
    one, two = store.create(0, wanted(mode="every"), wanted())
    store.record([], [Change(one.id, one.revision, "active", 7, 0), Change(two.id, two.revision, "expired", 0, 0)], step(1))
    [[kept]] = store.standing(["AAPL"])
    assert (kept.id, kept.armed, kept.fired, kept.triggered_ts) == (one.id, 7, 0, None)
    assert ids(store.find(status="expired")) == [two.id]


def test_what_came_is_told_of_until_it_is_marked(store):
    """Only once it is recorded, by partition, oldest first; what was removed meanwhile is not told of."""
    made = store.create(0, *(wanted("AAPL" if number % 2 else "MSFT") for number in range(6)))
    record(store, step(1), *(fire(row) for row in made[:5]))
    record(store, Progress(READER, 1).advance(1), fire(made[5]))
    assert untold(store) == [(row.id, 1) for row in made[:5]]
    assert untold(store, 2) == [(row.id, 1) for row in made[:2]]
    assert [event.alert for event in store.untold(READER, [1, 2], 10)] == [made[5].id]
    assert store.untold(READER, [], 10) == store.untold("alerts other", [0, 1], 10) == []
    store.tell(store.untold(READER, [0], 2))
    store.delete(0, made[3].id)
    assert untold(store) == [(made[2].id, 1), (made[4].id, 1)]


def test_changes_are_noticed_in_their_order(store):
    """What users add, change and remove has numbers that grow; that one came, or has another note, is no change to be noticed."""
    assert store.revision() == 0
    one, two = store.create(0, wanted(), wanted("MSFT"))
    assert one.revision == two.revision == store.revision() > 0
    record(store, step(1), fire(one))
    assert store.changes(one.revision) == []
    store.delete(0, two.id)
    [three] = store.create(0, wanted())
    store.update(0, three.id, note="look")
    found = store.changes(one.revision)
    assert [(row.id, row.status) for row in found] == [(two.id, "canceled"), (three.id, "active")]
    assert store.changes(store.revision()) == []


def test_changes_of_one_alert(store):
    """With another rule it begins anew; paused it does not stand; what is over is made active again, and keeps its count."""
    [made] = store.create(0, wanted(mode="every", hysteresis=1.0))
    store.record([], [Change(made.id, made.revision, "active", 7, 0)], step(1))
    changed = store.update(0, made.id, target_price=151.0, condition="below", note="look")
    assert (changed.target_price, changed.condition, changed.note, changed.status) == (151.0, "below", "look", "active")
    [[kept]] = store.standing(["AAPL"])
    assert kept.armed is None
    assert store.update(0, made.id, status="paused").status == "paused"
    assert standing(store, "AAPL") == []
    again = store.update(0, made.id, status="active", mode="once", hysteresis=0.0)
    record(store, step(2, 1), fire(again))
    with pytest.raises(UsageError, match="is triggered"):
        store.update(0, made.id, status="paused")
    assert store.update(0, made.id, note="over").status == "triggered"
    assert store.update(0, made.id, status="active").fired == 1
    with pytest.raises(UnknownNameError, match="target_price"):
        store.update(0, made.id, target=1.0)
    with pytest.raises(UsageError):
        store.update(0, made.id, target_price=-1.0)
    store.delete(0, made.id)
    with pytest.raises(UnknownNameError):
        store.update(0, made.id, note="gone")


def test_changes_of_many_users_at_once(store, place):
    """Each has a number of its own, and who looks again and again sees every one of them once, in order."""
    seen = []
    with ThreadPoolExecutor(4) as threads:
        making = [threads.submit(store.create, 0, wanted(f"S{number}")) for number in range(40)]
        while len(seen) < 40:
            seen += store.changes(seen[-1].revision if seen else 0)
        made = [future.result()[0] for future in making]
    assert [row.revision for row in seen] == sorted({row.revision for row in made})
    assert sorted(ids(seen)) == sorted(ids(made))
    assert rows(place, "SELECT count(*) FROM alerts") == [(40,)]


def test_a_quota(store, owners):
    """What waits or is paused counts, of the owner alone; nothing is made when it would be too much."""
    ann, bob = owners
    one, two = store.create(ann, wanted(), wanted(), quota=3)
    store.create(bob, wanted(), quota=3)
    with pytest.raises(UsageError, match="at most 3"):
        store.create(ann, wanted(), wanted(), quota=3)
    record(store, step(1), fire(one))
    store.update(ann, two.id, status="paused")
    store.create(ann, wanted(), wanted(), quota=3)
    with pytest.raises(UsageError, match="3 alerts and 1 more"):
        store.create(ann, wanted(), quota=3)


def test_different_things_to_watch_of_one_symbol_are_bounded(store):
    """The same thing any number of times; and as many as there may be of the next symbol."""
    many = [wanted("AAPL", "move_above", 2.0, spec=Spec(window_s=number)) for number in range(1, 201)]
    store.create(0, *many)
    store.create(0, *many[:3], wanted("MSFT", "move_above", 2.0, spec=Spec(window_s=999)))
    with pytest.raises(UsageError, match="200 different things to watch of AAPL"):
        store.create(0, wanted("AAPL", "move_above", 2.0, spec=Spec(window_s=999)))


def test_alerts_on_accounts_stand_apart(store):
    """Who compares prices does not see them, and the other way round."""
    price, held, lost = store.create(
        0, wanted(), wanted("AAPL", "position_above", 10.0, spec=Spec(accounts=("sma",))), wanted("", "drawdown_above", 5.0)
    )
    assert standing(store, "AAPL", "") == [price.id]
    assert ids(store.standing_of_accounts()) == [held.id, lost.id]
    assert ids(store.changes(0)) == [price.id]
    assert ids(store.changes(0, of_accounts=True)) == [held.id, lost.id]


def test_more_symbols_than_fit_in_one_question(store):
    """A thousand and some."""
    names = [f"S{number}" for number in range(1200)]
    made = store.create(0, *map(wanted, names))
    assert sorted(standing(store, *names)) == ids(made)
    record(store, step(1), *(fire(row) for row in made))
    assert untold(store, 700) == [(row.id, 1) for row in made[:700]]


def test_what_was_there_before_alerts_came_more_than_once(tmp_path, monkeypatch):
    """What was triggered is a firing now, told of or not as it was; what waited waits for the same."""
    path = tmp_path / "platform.db"
    monkeypatch.setattr(revisions, "NEWEST", "0005")
    revisions.upgrade("sqlite", lambda: sqlite3.connect(path, isolation_level=None), lambda _: None)
    monkeypatch.undo()
    insert = "INSERT INTO alerts (symbol, target_price, condition, status, created, triggered_ts, triggered_price, told, revision) VALUES"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"""
        PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 5;
        {insert} ('A', 5.0, 'above', 'active', 1, NULL, NULL, NULL, 3), ('A', 6.0, 'crosses', 'triggered', 2, 20, 6.5, NULL, 3),
        ('B', 7.0, 'below', 'triggered', 3, 10, 6.75, 99, 3), ('B', 8.0, 'below', 'canceled', 4, 30, 8.0, NULL, 4);
        INSERT INTO progress VALUES ('changes of alerts', 0, 4, x'', x'', 0);
        """)
    with contextlib.closing(open_database(path)) as database:
        store = AlertStore(database)
        assert [(row.id, row.mode, row.status, row.fired, row.triggered_value) for row in store.find()] == [
            (1, "once", "active", 0, None), (2, "once", "triggered", 1, 6.5), (3, "once", "triggered", 1, 6.75)
        ]  # fmt: skip
        assert [(event.seq, event.alert, event.ts, event.value) for event in store.events()] == [
            (1, 3, 10, 6.75),
            (2, 2, 20, 6.5),
            (3, 4, 30, 8.0),
        ]
        assert untold(store) == [(2, 1)]
        assert store.revision() == 4
        [one] = store.find(status="active")
        record(store, step(1), fire(one, 40))
        assert store.events(since=3)[0].seq == 4
