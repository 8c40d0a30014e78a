"""The replica of the accounts: the kernel's books, from its commands alone."""

import numpy as np
import pytest

from openbell.errors import JournalError
from openbell.services.names import Names
from openbell.services.portfolio.replica import Replica
from tests.unit.services.sessions import session


@pytest.fixture(scope="module")
def played():
    return session()


def replica_of(engine):
    return Replica(Names(engine.plan))


def test_it_agrees_with_the_kernel(played):
    """Cash, realised profit, fees, counters and every position are the kernel's, to the last minor unit."""
    engine, commands, _ = played
    replica = replica_of(engine)
    replica.apply(0, commands)
    positions = engine.table("positions").reshape(len(engine.plan.assignments), -1)
    assert engine.head["fills"] > 20
    for index, (book, account) in enumerate(zip(replica.books, engine.table("accounts"), strict=True)):
        assert (book.cash, book.realised, book.fees) == (account["cash"], account["realised"], account["fees"])
        assert (book.orders, book.fills, book.denials) == (account["orders"], account["fills"], account["denials"])
        for instrument, position in enumerate(positions[index]):
            held = book.holdings.get(instrument)
            assert (held.quantity if held else 0) == position["quantity"]
            assert (held.cost if held else 0) == position["cost"]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_any_cutting_gives_the_same(played, size):
    """Commands may come in pieces of any size."""
    engine, commands, _ = played
    whole, pieces = replica_of(engine), replica_of(engine)
    shown = whole.apply(0, commands)
    in_pieces = [item for first in range(0, len(commands), size) for item in pieces.apply(first, commands[first : first + size])]
    assert shown == in_pieces
    assert whole.books == pieces.books
    assert whole.points == pieces.points


def test_what_comes_twice_counts_once(played):
    """After a crash commands are published again; those that are known change nothing."""
    engine, commands, _ = played
    replica = replica_of(engine)
    replica.apply(0, commands[:200])
    before = [book.cash for book in replica.books], list(replica.shelves.fills())
    assert replica.apply(0, commands[:150]) == []
    assert ([book.cash for book in replica.books], list(replica.shelves.fills())) == before
    replica.apply(100, commands[100:])
    assert replica.index == len(commands)
    assert [book.cash for book in replica.books] == [account["cash"] for account in engine.table("accounts")]


def test_a_gap_is_refused(played):
    """A replica that missed a command stops rather than go on with wrong books."""
    engine, commands, _ = played
    replica = replica_of(engine)
    replica.apply(0, commands[:10])
    with pytest.raises(JournalError, match="commands 10 to 11"):
        replica.apply(12, commands[12:20])
    assert replica.index == 10


def test_orders_are_told_as_they_were_asked(played):
    """A market order stays one although its protection makes the kernel treat it as a limit; a denial says why."""
    engine, commands, _ = played
    replica = replica_of(engine)
    replica.apply(0, commands)
    manual = [order for order in replica.shelves.orders() if order.strategy == "manual"][::-1]
    assert [(order.type, order.status, order.limit_price) for order in manual] == [
        ("market", "filled", None),
        ("market", "filled", None),
        ("market", "denied", None),
    ]
    assert manual[0].quantity == manual[0].filled == 0.01
    assert manual[2].reason
    assert replica.books[1].state == "paused"


def test_the_equity_curve_is_the_kernels(played):
    """Points rise in time; the last is near the worth of all accounts."""
    engine, commands, _ = played
    replica = replica_of(engine)
    replica.apply(0, commands)
    times = [ts for ts, _ in replica.points]
    assert times == sorted(times)
    assert np.isclose(replica.points[-1][1], engine.head.equity() / float(engine.head["money_scale"]), rtol=1e-3)
