"""The rows of alerts, held to their contract in SQLite and in PostgreSQL."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from openbell.adapters.stores.alerts import AlertStore, NewAlert, Trigger
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import Progress
from openbell.errors import FencedError, UsageError
from tests.contracts.stores import ENGINES, place_for, rows


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where this test's alerts are."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def store(place):
    with contextlib.closing(open_database(place)) as opened:
        yield AlertStore(opened)


def wanted(symbol="AAPL", condition="above", target_price=150.0):
    return NewAlert(symbol, condition, target_price)


def step(position, expected=0):
    return Progress("alerts t", 0, expected).advance(position, state=b"state %d" % position)


def ids(found):
    return [row.id for row in found]


def test_an_alert_from_its_making_to_its_end(store):
    """It is active, is triggered by one tick, and is listed until it is removed."""
    [made] = store.create(wanted())
    assert (made.symbol, made.condition, made.target_price, made.status) == ("AAPL", "above", 150.0, "active")
    assert (made.triggered_ts, made.triggered_price) == (None, None)
    assert store.active(["AAPL", "MSFT"]) == store.find() == [made]
    store.trigger([Trigger(made.id, 17, 150.5)], step(5))
    [found] = store.find()
    assert (found.status, found.triggered_ts, found.triggered_price) == ("triggered", 17, 150.5)
    assert store.active(["AAPL"]) == []
    assert store.progress("alerts t", 0) == Progress("alerts t", 0, 5, b"", b"state 5")
    assert store.delete(made.id)
    assert store.find() == []
    assert not store.delete(made.id)
    assert not store.delete(made.id + 1)


def test_what_is_found(store):
    """Of a symbol, or of a status."""
    one, two, three = store.create(wanted(), wanted("MSFT", "below"), wanted("MSFT", "crosses"))
    store.trigger([Trigger(two.id, 1, 1.0)], step(1))
    assert ids(store.find()) == [one.id, two.id, three.id]
    assert ids(store.find("MSFT")) == [two.id, three.id]
    assert ids(store.find("MSFT", "active")) == ids(store.active(["MSFT", "NVDA"])) == [three.id]
    assert ids(store.find(status="triggered")) == [two.id]


def test_only_the_first_tick_triggers(store):
    """Whoever finds an alert triggered or removed leaves it as it is, and its progress is stored all the same."""
    first, second = store.create(wanted(), wanted())
    store.delete(second.id)
    store.trigger([Trigger(first.id, 10, 151.0)], step(5))
    store.trigger([Trigger(first.id, 11, 152.0), Trigger(second.id, 11, 152.0)], step(6, 5))
    [found] = store.find()
    assert (found.triggered_ts, found.triggered_price) == (10, 151.0)
    assert store.find(status="canceled")[0].triggered_ts is None
    assert store.progress("alerts t", 0).position == 6


def test_who_was_taken_over_triggers_nothing(store):
    """Neither the alert nor the progress is written."""
    [made] = store.create(wanted())
    store.trigger([], step(5))
    with pytest.raises(FencedError):
        store.trigger([Trigger(made.id, 10, 151.0)], step(7))
    assert store.find() == [made]
    assert store.progress("alerts t", 0).position == 5


def test_what_was_triggered_is_told_of_until_it_is_marked(store):
    """Only once it is triggered, by symbol, oldest first; what was removed meanwhile is not told of."""
    made = store.create(*(wanted("AAPL" if number % 2 else "MSFT") for number in range(6)))
    store.trigger([Trigger(row.id, 3, 1.0) for row in made[:5]], step(1))
    assert ids(store.untold(["AAPL", "MSFT"], 10)) == ids(made[:5])
    assert ids(store.untold(["AAPL", "MSFT"], 2)) == ids(made[:2])
    assert ids(store.untold(["MSFT"], 10)) == ids(made[0:5:2])
    store.tell(ids(made[:2]))
    store.delete(made[3].id)
    assert ids(store.untold(["AAPL", "MSFT"], 10)) == [made[2].id, made[4].id]
    assert store.untold([], 10) == []


def test_changes_are_noticed_in_their_order(store):
    """What users add and remove has numbers that grow; triggering is no change of theirs."""
    assert store.revision() == 0
    one, two = store.create(wanted(), wanted("MSFT"))
    assert one.revision == two.revision == store.revision() > 0
    store.trigger([Trigger(one.id, 3, 1.0)], step(1))
    assert store.changes(one.revision) == []
    store.delete(two.id)
    [three] = store.create(wanted())
    found = store.changes(one.revision)
    assert [(row.id, row.status) for row in found] == [(two.id, "canceled"), (three.id, "active")]
    assert store.changes(store.revision()) == []


def test_changes_of_many_users_at_once(store, place):
    """Each has a number of its own, and who looks again and again sees every one of them once, in order."""
    seen = []
    with ThreadPoolExecutor(4) as threads:
        making = [threads.submit(store.create, wanted(f"S{number}")) for number in range(40)]
        while len(seen) < 40:
            seen += store.changes(seen[-1].revision if seen else 0)
        made = [future.result()[0] for future in making]
    assert [row.revision for row in seen] == sorted({row.revision for row in made})
    assert sorted(ids(seen)) == sorted(ids(made))
    assert rows(place, "SELECT count(*) FROM alerts") == [(40,)]


def test_more_symbols_than_fit_in_one_question(store):
    """A thousand and some."""
    names = [f"S{number}" for number in range(1200)]
    made = store.create(*map(wanted, names))
    assert sorted(ids(store.active(names))) == ids(made)
    store.trigger([Trigger(row.id, 3, 1.0) for row in made], step(1))
    assert ids(store.untold(names, 700)) == ids(made[:700])


@pytest.mark.parametrize(
    ("symbol", "condition", "price"),
    [
        ("", "above", 1.0), ("A", "over", 1.0), ("A", "above", 0.0), ("A", "below", -1.0), ("A", "crosses", float("nan")),
        ("A", "above", 1e15),
    ],
)  # fmt: skip
def test_an_alert_that_makes_no_sense(symbol, condition, price):
    """Is refused before anything is written."""
    with pytest.raises(UsageError):
        NewAlert(symbol, condition, price)
