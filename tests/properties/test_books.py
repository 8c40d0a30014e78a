"""What holds after every single event, and after very many."""

import numpy as np
from hypothesis import given

from openbell.engine.plan import Assignment
from openbell.model import enums, history
from openbell.model.plan import NO_LIMITS
from openbell.model.time import SECOND
from tests.properties.market import EXAMPLES, SHORTS, START, STREAMS, SYMBOLS, Machine, machine, plan, ticks
from tests.properties.strategies import EveryTick, RandomShorts


def open_orders(engine):
    """Rows of the order table that are open."""
    orders = engine.table("orders")
    return orders[(orders["status"] >= enums.SUBMITTED) & (orders["status"] <= enums.UNKNOWN)]


def check_books(engine):
    """Every account balances; what is held back is what the open orders hold back."""
    accounts, positions = engine.table("accounts"), engine.table("positions").reshape(len(engine.plan.assignments), -1)
    assert not (accounts["cash"] + accounts["inventory"] + accounts["fees"] - accounts["realised"] - accounts["deposits"]).any()
    assert (positions["quantity"] == positions["bought"] - positions["sold"]).all()
    for name, of_account in (("cost", "inventory"), ("realised", "realised"), ("fees", "fees"), ("fills", "fills")):
        assert (positions[name].sum(axis=1) == accounts[of_account]).all()
    orders = open_orders(engine)
    pending = np.where(orders["quantity"] == 0, 1, orders["quantity"] - orders["filled"])
    for name, side in (("buying", 1), ("selling", -1)):
        held = np.zeros(positions.shape, np.int64)
        mine = orders["side"] == side
        np.add.at(held, (orders["strategy"][mine], orders["instrument"][mine]), pending[mine])
        assert (held == positions[name]).all()
    reserved = np.zeros(len(accounts), np.int64)
    np.add.at(reserved, orders["strategy"], orders["reserved"])
    assert (reserved == accounts["reserved"]).all()
    assert (orders["reserved"] >= 0).all()
    assert np.isfinite(float(engine.head.equity()))


def check_table(engine):
    """Open slots are linked by instrument in both directions, free ones once each, and together they are all."""
    head, orders, instruments = engine.head, engine.table("orders"), engine.table("instruments")
    linked = []
    for index, instrument in enumerate(instruments):
        slot, previous = int(instrument["order_first"]), -1
        while slot >= 0:
            assert (orders[slot]["instrument"], orders[slot]["previous"]) == (index, previous)
            linked.append(slot)
            slot, previous = int(orders[slot]["next"]), slot
        assert instrument["order_last"] == previous
    free, slot = [], int(head["order_free"])
    while slot >= 0:
        free.append(slot)
        slot = int(orders[slot]["next"])
    assert sorted(linked + free) == list(range(len(orders)))
    assert head["open_orders"] == len(linked) == len(open_orders(engine)) == engine.table("accounts")["open_orders"].sum()


@EXAMPLES
@given(STREAMS)
def test_after_every_event(stream):
    """Cash conserved, positions the sum of fills, counters those of the open orders, the table whole: at every step."""
    venue, kind, events = stream
    engine = machine(venue, kind).start()
    filled = np.zeros((len(engine.plan.assignments), len(SYMBOLS)), np.int64)
    for row in range(min(len(events), 100)):
        commands = engine.run(events[row : row + 1])
        fills = commands[commands["kind"] == enums.FILL]
        np.add.at(filled, (fills["strategy"], fills["instrument"]), fills["side"] * fills["quantity"])
        check_books(engine)
        check_table(engine)
        assert (filled.ravel() == engine.table("positions")["quantity"]).all()
        assert not np.isnan(commands[commands["kind"] == enums.EQUITY]["amount"].astype(float)).any()


@EXAMPLES
@given(STREAMS)
def test_nothing_is_held_back_when_nothing_is_open(stream):
    """After a kill of every strategy no order is open, no cash reserved, no lot pending, and every slot is free."""
    venue, kind, events = stream
    engine = machine(venue if venue != "outside" else "next", kind).start()
    engine.run(events)
    kills = np.zeros(len(engine.plan.assignments), events.dtype)
    kills["kind"], kills["ts_available"] = enums.REQUEST, events["ts_available"][-1]
    kills["request"]["action"], kills["request"]["strategy"] = enums.REQUEST_KILL, np.arange(len(kills))
    engine.run(history.number(kills, len(events) + 1))
    assert engine.head["open_orders"] == 0
    assert not engine.table("accounts")["reserved"].any()
    assert not engine.table("positions")["buying"].any()
    assert not engine.table("positions")["selling"].any()
    check_table(engine)


@EXAMPLES
@given(STREAMS)
def test_orders_in_the_commands(stream):
    """Told from the commands alone: every order was submitted once, took legal steps, and never traded more than it asked for."""
    venue, kind, events = stream
    commands = machine(venue, kind).start().run(events)
    asked, done, ended = {}, {}, set()
    for row in commands[np.isin(commands["kind"], (enums.SUBMIT, enums.MODIFY, enums.ORDER, enums.FILL, enums.CANCEL))]:
        order_id, status = int(row["order_id"]), int(row["status"])
        if row["kind"] == enums.SUBMIT:
            assert order_id not in asked
            assert order_id >> 10 == row["seq"]
            asked[order_id], done[order_id] = int(row["quantity"]), 0
        elif status == enums.DENIED:
            assert order_id not in asked
        else:
            assert order_id in asked
            assert order_id not in ended
            if row["kind"] == enums.FILL:
                assert row["quantity"] > 0
                done[order_id] += int(row["quantity"])
                assert row["filled"] == done[order_id]
            elif row["quantity"] != 0:
                asked[order_id] = int(row["quantity"])
            assert asked[order_id] == 0 or done[order_id] <= asked[order_id]
            if status >= enums.FILLED:
                ended.add(order_id)


def test_slots_do_not_leak():
    """100,000 orders and more through a table of 24: it is whole, and the first orders are found as fast as the last."""
    count = 200_000
    random = np.random.default_rng(1)
    price = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.0003, count))), 2)
    ts = START + np.arange(count) * SECOND // 10
    events = history.number(history.trades(ts, random.integers(0, 3, count), price, np.full(count, 10**6)), 1)
    engine = Machine(plan(assignments=[Assignment("tick", EveryTick, SYMBOLS, cash=1e6)], candles=())).start()
    for part in engine.step(events):
        assert part["seq"][0] <= part["seq"][-1]
    assert engine.head["orders"] > 100_000
    assert engine.head["open_orders"] <= 3 * 2
    # Slots are taken from the lowest: only as many were ever used as were open at once.
    assert np.count_nonzero(engine.table("orders")["order_id"]) <= 3 * 3
    check_books(engine)
    check_table(engine)


def decisions(commands, strategy):
    """What one strategy did, without the numbers that others share: seq of the run, place in the event."""
    mine = commands[(commands["strategy"] == strategy) & np.isin(commands["kind"], (enums.SIGNAL, enums.SUBMIT, enums.ORDER, enums.FILL))]
    names = [name for name in commands.dtype.names if name not in ("strategy", "order_id", "bar", "seq")]
    return [tuple(row[name] for name in names) for row in mine]


def test_a_strategy_alone_is_the_same_among_others():
    """Eight strategies in one state: each decides and trades as it would alone (where the venue does not ration them)."""
    made = plan(order_capacity=512, intent_capacity=256)
    events = ticks(21, 2_000)
    events = history.number(events[~np.isin(events["kind"], (enums.REQUEST, enums.REPLY))], 1)
    together = Machine(made).start()
    commands = together.run(events)
    for index, assignment in enumerate(made.assignments):
        alone = Machine(plan(assignments=[assignment], order_capacity=512, intent_capacity=256)).start()
        assert decisions(alone.run(events), 0) == decisions(commands, index), assignment.id
        assert alone.table("accounts")[0]["cash"] == together.table("accounts")[index]["cash"]
        assert (
            alone.records(0)["number"].tolist() == together.records(index)["number"].tolist()
            if "number" in alone.records(0).dtype.names
            else True
        )


def test_instruments_do_not_disturb_each_other():
    """A strategy on B decides the same whether A and C trade or not."""
    made = plan(assignments=[Assignment("one", RandomShorts, ("B",), "1s", {}, 10_000.0, SHORTS)])
    events = ticks(22, 2_000)
    events = events[~np.isin(events["kind"], (enums.REQUEST, enums.REPLY, enums.TIMER))]
    both = Machine(made).start().run(history.number(events.copy(), 1))
    alone = Machine(made).start().run(history.number(events[events["instrument"] == 1].copy(), 1))
    assert len(decisions(both, 0)) > 300
    assert decisions(alone, 0) == decisions(both, 0)


def test_the_order_of_assignments_does_not_matter():
    """Two strategies named the other way round trade the same."""
    chosen = [Assignment(f"s{seed}", RandomShorts, SYMBOLS, "1s", {"seed": seed}, 10_000.0, NO_LIMITS) for seed in (3, 4)]
    events = history.number(ticks(23, 1_500), 1)
    events = history.number(events[~np.isin(events["kind"], (enums.REQUEST, enums.REPLY))], 1)
    first = Machine(plan(assignments=chosen, order_capacity=512)).start().run(events)
    second = Machine(plan(assignments=chosen[::-1], order_capacity=512)).start().run(events)
    assert decisions(first, 0) == decisions(second, 1)
    assert decisions(first, 1) == decisions(second, 0)
