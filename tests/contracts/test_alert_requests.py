"""A new alert that is asked for again is made once, in SQLite and in PostgreSQL."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from openbell.adapters.stores.alert_requests import KEPT_NS
from openbell.adapters.stores.alert_rules import NewAlert
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.database import open_database
from openbell.errors import UsageError
from tests.contracts.stores import ENGINES, change, place_for, rows

WANTED = NewAlert("AAPL", "above", 150.0)


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where this test's alerts are."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def store(place):
    with contextlib.closing(open_database(place)) as opened:
        yield AlertStore(opened)


def test_the_same_request_makes_one_alert(store):
    """Asked again, also as the alert stands by then and when there is no room for more, it is the first one."""
    [made] = store.create(0, WANTED, request="a", quota=1)
    assert store.create(0, WANTED, request="a", quota=1) == [made]
    paused = store.update(0, made.id, status="paused")
    assert store.create(0, WANTED, request="a") == [paused]
    assert store.find() == [paused]
    store.delete(0, made.id)
    assert [row.status for row in store.create(0, WANTED, request="a")] == ["canceled"]
    assert store.find() == []


def test_requests_of_two_owners_have_nothing_to_do_with_each_other(place, store):
    """The same id of somebody else, and another id of the same owner, are another request."""
    change(place, "INSERT INTO users (name, password_hash, role, created) VALUES ('ann', '', 'trader', 0)")
    [(ann,)] = rows(place, "SELECT id FROM users")
    ids = {store.create(owner, WANTED, request=request)[0].id for owner, request in ((0, "a"), (ann, "a"), (0, "b"), (0, ""))}
    assert len(ids) == 4
    assert len({store.create(0, WANTED)[0].id for _ in range(2)}) == 2, "without an id each is a request of its own"


def test_a_request_for_another_alert_is_refused(store):
    """Its id says that it is the same; what it asks for says that it is not."""
    store.create(0, WANTED, request="a")
    with pytest.raises(UsageError, match="the id of this request was used for another alert"):
        store.create(0, NewAlert("AAPL", "above", 151.0), request="a")
    with pytest.raises(UsageError, match="the id of a request is 'aaaa"):
        store.create(0, WANTED, request="a" * 256)
    with pytest.raises(UsageError, match="printable characters"):
        store.create(0, WANTED, request="a\x00b")
    assert len(store.find()) == 1


def test_many_at_once_make_one(store):
    """Threads that ask at the same time are all given the same alert."""
    with ThreadPoolExecutor(8) as threads:
        made = [found[0].id for found in threads.map(lambda _: store.create(0, WANTED, request="a"), range(24))]
    assert len(set(made)) == 1
    assert len(store.find()) == 1


def test_a_request_is_remembered_for_a_day(place, store):
    """After that it is as if it had never been."""
    [old] = store.create(0, WANTED, request="a")
    change(place, "UPDATE alert_requests SET created = created - ?", KEPT_NS + 1)
    store.create(0, WANTED, request="b")
    assert rows(place, "SELECT request FROM alert_requests") == [("b",)]
    [new] = store.create(0, WANTED, request="a")
    assert new.id != old.id
