"""The rows of orders, held to their contract in SQLite and in PostgreSQL."""

import contextlib

import pytest

from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.order_rows import Answer, ChangeRow, Changes, FillRow, Intent, OrderRow
from openbell.adapters.stores.orders import OrderStore, fills_of, orders_of
from openbell.errors import FencedError
from tests.contracts.stores import ENGINES, place_for, rows


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where this test's orders are."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def database(place):
    with contextlib.closing(open_database(place)) as opened:
        yield opened


@pytest.fixture
def store(database):
    made = OrderStore(database, "orders")
    made.take_over()
    return made


def order(number=1, status="submitted", revision=0, **changes):
    values = {
        "client_order_id": f"r-{number}", "run": "r", "order_id": number, "strategy": "s", "symbol": "A", "side": "buy", "type": "limit",
        "time_in_force": "gtc", "status": status, "quantity": 10, "lot_size": 0.5, "limit_price": 9.5, "stop_price": None, "reason": None,
        "ts": 1000 + revision, "revision": revision,
    }  # fmt: skip
    return OrderRow(**{**values, **changes})


def status(number, status, revision, reason=None):
    """A status that knows nothing of the order itself."""
    return order(number, status, revision, type="", time_in_force="", quantity=0, limit_price=None, reason=reason)


def fill(number, lots=4, price=10.0, of=1, ts=2000):
    return FillRow("r", f"e{number}", f"r-{of}", "s", "A", "buy", lots, 0.5, price, 7, ts, 0)


def intent(command, state="intended", of=1, action="submit"):
    return Intent("r", command, f"r-{of}", action, state, b"message %d" % command)


COLUMNS = "client_order_id, type, status, quantity, filled, limit_price, average_price, reason, created, ts, revision"


def stored(place, number=1):
    return rows(place, f"SELECT {COLUMNS} FROM orders WHERE client_order_id = ?", f"r-{number}")[0]


def test_an_order_its_fills_and_its_end(store, place, database):
    """What is filled, and at what price, is the sum of the fills."""
    store.write(Changes([order(), status(1, "accepted", 1)]))
    store.write(Changes([status(1, "filled", 2)], fills=[fill(1, 4, 10.0), fill(2, 6, 9.0)], summed={"r-1"}))
    assert stored(place) == ("r-1", "limit", "filled", 10, 10, 9.5, 9.4, None, 1000, 1002, 2)
    assert orders_of(database, "r") == {"r-1": ("filled", 10, 10)}
    assert fills_of(database, "r") == {"e1": ("r-1", 4, 10.0, 7), "e2": ("r-1", 6, 9.0, 7)}
    assert orders_of(database, "another") == fills_of(database, "another") == {}


def test_how_much_is_filled_may_be_said(store, place):
    """It never gets less, whatever comes late, and the price goes with it."""
    store.write(Changes([order(filled=6, average_price=9.5, revision=4, status="partially_filled")]))
    store.write(Changes([order(filled=2, average_price=9.0, revision=3)]))
    store.write(Changes([order(revision=5, status="canceled")]))
    assert stored(place)[2:7] == ("canceled", 10, 6, 9.5, 9.5)


def test_writing_again_changes_nothing(store, place):
    """A message that comes twice, alone or with all others."""
    everything = Changes(
        [order(), status(1, "partially_filled", 3)], [ChangeRow("r-1", 20, 9.0, None)], [fill(1)], {"r-1"},
        [intent(0, "done")], {}, [Answer(1, "r-1", "r", b"said")],
    )  # fmt: skip
    store.write(everything)
    once = (
        stored(place),
        rows(place, "SELECT * FROM executions"),
        rows(place, "SELECT * FROM intents"),
        rows(place, "SELECT * FROM answers"),
    )
    store.write(everything)
    assert once == (
        stored(place), rows(place, "SELECT * FROM executions"), rows(place, "SELECT * FROM intents"), rows(place, "SELECT * FROM answers")
    )  # fmt: skip


def test_a_status_never_goes_back(store, place):
    """An older one that comes late changes nothing, and a reason stays until there is another."""
    store.write(Changes([order(), status(1, "canceled", 5, "as asked")]))
    store.write(Changes([order(), status(1, "accepted", 1)]))
    assert stored(place)[2:8] == ("canceled", 10, 0, 9.5, None, "as asked")
    store.write(Changes([status(1, "unknown", 6)]))
    assert stored(place)[2] == "unknown"
    assert stored(place)[7] == "as asked"


def test_a_status_and_a_fill_may_come_before_their_order(store, place):
    """Two topics have no order between them: the order completes the row and leaves its status."""
    store.write(Changes([status(1, "filled", 4)], fills=[fill(1, 10)], summed={"r-1"}))
    assert stored(place)[1:5] == ("", "filled", 10, 10)
    store.write(Changes([order()]))
    assert stored(place)[1:6] == ("limit", "filled", 10, 10, 9.5)


def test_an_order_sized_by_money_has_the_lots_of_its_fills(store, place):
    """Nobody knows them before."""
    store.write(Changes([order(quantity=0)]))
    store.write(Changes([status(1, "filled", 1)], fills=[fill(1, 7)], summed={"r-1"}))
    assert stored(place)[3:5] == (7, 7)


def test_a_change_of_an_order(store, place):
    """Quantity and prices; a quantity of 0 stays as it was. The order's own message, said again, does not undo it."""
    store.write(Changes([order()], [ChangeRow("r-1", 30, 8.0, None)]))
    store.write(Changes([order()], [ChangeRow("r-1", 0, 7.5, None)]))
    assert stored(place)[3:6] == (30, 0, 7.5)


def test_what_is_open_is_loaded_with_all_that_is_known(store):
    """An order is open while one of its instructions is not done."""
    for number in (1, 2, 3):
        store.write(Changes([order(number)], intents=[intent(number, of=number)]))
    store.write(Changes(intents=[intent(9, of=2, action="cancel")], states={("r", 1): "done", ("r", 2): "working"}))
    store.write(Changes(fills=[fill(1, of=2, ts=5), fill(2, of=2, ts=3)], answers=[Answer(n, "r-2", "r", b"%d" % n) for n in (1, 2)]))
    two, three = store.open()
    assert [item.row.client_order_id for item in (two, three)] == ["r-2", "r-3"]
    assert [(found.command, found.state) for found in two.intents] == [(2, "working"), (9, "intended")]
    assert [found.execution_id for found in two.fills] == ["e2", "e1"]
    assert (two.answers, three.answers, three.fills) == (2, 0, ())
    assert store.load(["r-1", "r-7"])[0].intents == (intent(1, "done"),)


def test_intents_by_their_commands(store):
    """Who is told something again finds out whether it is known."""
    assert store.last_command("r") == -1
    store.write(Changes(intents=[intent(number) for number in (3, 5, 8)]))
    assert store.last_command("r") == 8
    assert store.intents("r", 4, 8) == {5: intent(5), 8: intent(8)}
    assert store.intents("another", 0, 99) == {}


def test_answers_are_kept_to_be_said_again(store, database):
    """By order, and from a number on; how far they are with the bus is kept with what is written."""
    answers = [Answer(number, f"r-{number % 3}", "r", b"%d" % number) for number in range(1, 1301)]
    store.write(Changes(answers=answers))
    assert store.last_answer() == 1300
    assert [answer.number for answer in store.answers(["r-1", "r-2"])] == [number for number in range(1, 1301) if number % 3]
    assert store.answers_after(1298) == answers[1298:]
    store.write(Changes([order()], said=1298))
    store.write(Changes([order()]))
    assert OrderStore(database, "orders").take_over() == 1298


def test_who_was_taken_over_writes_nothing(store, database, place):
    """Not even the part that would do no harm."""
    store.write(Changes([order()]))
    other = OrderStore(database, "orders")
    other.take_over()
    with pytest.raises(FencedError):
        store.write(Changes([order(2)], intents=[intent(1)]))
    assert rows(place, "SELECT count(*) FROM orders") == [(1,)]
    other.write(Changes([order(2)]))
    assert rows(place, "SELECT count(*) FROM orders") == [(2,)]


def test_two_platforms_in_one_database(store, database):
    """Each has its own intents and answers, and takes over nothing of the other."""
    other = OrderStore(database, "orders of another platform")
    other.take_over()
    for which in (store, other):
        which.write(Changes([order()], intents=[intent(1)], answers=[Answer(1, "r-1", "r", b"said")]))
    store.write(Changes(states={("r", 1): "done"}))
    assert (store.open(), [item.row.client_order_id for item in other.open()]) == ([], ["r-1"])
    other.write(Changes(intents=[intent(5)], answers=[Answer(2, "r-1", "r", b"and")]))
    assert (store.last_command("r"), store.last_answer(), len(store.answers(["r-1"])), store.answers_after(1)) == (1, 1, 1, [])
    assert OrderStore(database, "nobody").load(["r-1"]) == []


def test_more_orders_than_fit_in_one_question(store):
    """A thousand and some."""
    store.write(Changes([order(number) for number in range(1200)]))
    store.write(Changes(intents=[intent(number, of=number) for number in range(1200)]))
    assert len(store.load([f"r-{number}" for number in range(1200)])) == 1200
