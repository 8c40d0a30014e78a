"""Alerts on positions and drawdowns: by brute force from the same commands, and by the service, whatever is killed or said again."""

import asyncio
import contextlib
import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.buses.base import Message, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.decisions import encode_decisions
from openbell.adapters.stores.alert_rules import NewAlert, Spec
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import Progress, move
from openbell.engine.plan import Assignment, Plan
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.plan import Listing
from openbell.model.time import SECOND
from openbell.services.alerts.account_service import AccountAlertService
from openbell.services.alerts.accounts import AccountDesk, Kept
from openbell.services.alerts.ledger import Ledger
from openbell.services.names import Names
from openbell.services.portfolio.replica import Replica
from openbell.services.trader.decisions import plan_hash
from tests.unit.services.alert_oracle import OracleAlert
from tests.unit.services.test_desk import standing

TS = 1_700_000_000 * SECOND
LISTINGS = (Listing("AAPL", 0.01, 0.5), Listing("MSFT", 0.01, 1.0))
PLANS = {
    trader: Plan(LISTINGS, tuple(Assignment(name, "manual", ("AAPL", "MSFT"), cash=1000.0) for name in names))
    for trader, names in {"main": ("sma", "rsi"), "other": ("momentum",)}.items()
}
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with contextlib.closing(open_database(tmp_path_factory.mktemp("alerts") / "platform.db")) as opened:
        yield AlertStore(opened)


def commands_of(found, begin=0):
    """FILL and CANDLE commands: (seconds, is fill, account, instrument, side, lots, price); what else there is has no effect."""
    made = np.zeros(len(found), COMMAND)
    for row, (wait, is_fill, account, instrument, side, lots, price) in enumerate(found):
        made["ts"][row] = TS + (begin + wait) * SECOND
        made["kind"][row] = enums.FILL if is_fill else enums.CANDLE
        made["instrument"][row] = instrument
        if is_fill:
            made["strategy"][row], made["side"][row], made["quantity"][row], made["price"][row] = account, side, lots, price
            made["amount"][row] = 5
        else:
            made["bar"]["close"][row] = price
    return made


class OracleAccounts:
    """What is held and what it is worth, in plain numbers."""

    def __init__(self, rows):
        self.alerts = [OracleAlert(row) for row in rows]
        self.peaks = {}
        self.held = {(name, symbol): 0 for names in (("sma", "rsi"), ("momentum",)) for name in names for symbol in ("AAPL", "MSFT")}
        self.cash = {name: 1000.0 for name, _ in self.held}
        self.prices = {}
        self.came = []
        self.has_begun = False

    def take(self, trader, command):
        names = [item.id for item in PLANS[trader].assignments]
        symbol, lot = LISTINGS[command["instrument"]].symbol, LISTINGS[command["instrument"]].lot_size
        is_fill = command["kind"] == enums.FILL
        if is_fill:
            name, side, lots = names[command["strategy"]], int(command["side"]), int(command["quantity"])
            self.held[name, symbol] += side * lots
            self.cash[name] -= side * lots * lot * float(command["price"]) + 5 / 1e6
            self.prices[trader, symbol] = float(command["price"])
            touched = {name}
        else:
            self.prices[trader, symbol] = float(command["bar"]["close"])
            touched = {name for name in names if self.held[name, symbol]}
        found = []
        for alert in self.alerts:
            wanted = alert.spec.accounts or tuple(self.cash)
            is_new = not self.has_begun
            if alert.status != "active" or not (is_new or touched & set(wanted)):
                continue
            if alert.kind == "drawdown":
                value = self.drawdown(wanted)
            elif is_new or (is_fill and alert.row.symbol == symbol):
                symbol_wanted = alert.row.symbol
                lot = next(item.lot_size for item in LISTINGS if item.symbol == symbol_wanted)
                value = sum(self.held[name, symbol_wanted] for name in wanted) * lot
            else:
                continue
            if alert.look(int(command["ts"]), value):
                found.append((alert.row.id, alert.number, int(command["ts"]), value))
        self.has_begun = True
        self.came += sorted(found)

    def drawdown(self, wanted):
        worth = 0.0
        for name in wanted:
            trader = "other" if name == "momentum" else "main"
            worth += self.cash[name]
            for listing in LISTINGS:
                lots = self.held[name, listing.symbol]
                worth += lots * listing.lot_size * self.prices[trader, listing.symbol] if lots else 0.0
        peak = self.peaks[wanted] = max(self.peaks.get(wanted, 1000.0 * len(wanted)), worth)
        return 100.0 * (peak - worth) / peak


accounts = st.sampled_from([(), ("sma",), ("sma", "rsi"), ("momentum",), ("sma", "momentum")])
how = st.sampled_from([{}, {"mode": "every"}, {"mode": "every", "cooldown_s": 7.0}, {"mode": "every", "hysteresis": 50.0}])
comparisons = st.sampled_from(["above", "below", "crosses", "crosses_above", "crosses_below"])
rules = st.one_of(
    st.builds(
        lambda symbol, comparison, target, names, more: NewAlert(symbol, f"position_{comparison}", target, Spec(accounts=names), **more),
        st.sampled_from(["AAPL", "MSFT"]), comparisons, st.sampled_from([-2.0, 1.5, 4.0]), accounts, how,
    ),
    st.builds(
        lambda comparison, target, names, more: NewAlert("", f"drawdown_{comparison}", target, Spec(accounts=names), **more),
        comparisons, st.sampled_from([0.5, 2.0, 10.0]), accounts, how,
    ),
)  # fmt: skip
moves = st.lists(
    st.tuples(
        st.booleans(), st.integers(0, 1), st.integers(0, 1), st.sampled_from([-1, 1]), st.integers(1, 6), st.sampled_from([4.0, 5.0, 9.5]),
        st.sampled_from(["main", "other"]),
    ),
    max_size=60,
)  # fmt: skip


def stretches(found):
    """(Trader, index of the first, commands) in the order in which they are decided."""
    counts, made = {"main": 0, "other": 0}, []
    for number, (is_fill, account, *rest, trader) in enumerate(found):
        commands = commands_of([(0, is_fill, account if trader == "main" else 0, *rest)], begin=3 * number)
        made.append((trader, counts[trader], commands))
        counts[trader] += 1
    return made


@settings(max_examples=200, deadline=None)
@given(wanted=st.lists(rules, max_size=6), found=moves, restarts=st.sets(st.integers(0, 60)))
def test_positions_and_drawdowns_as_by_brute_force(wanted, found, restarts):
    """Command by command, stored and started again in between, with some said again."""
    rows = {number: standing(number, rule) for number, rule in enumerate(wanted, 1)}
    oracle, came = OracleAccounts(rows.values()), []
    desk = AccountDesk(PLANS)
    for trader in PLANS:
        desk.begin(trader, Ledger.begin(f"{trader}-1", desk.names[trader]))
    desk.change(rows.values())
    parts = stretches(found)
    for number, (trader, first, commands) in enumerate(parts):
        oracle.take(trader, commands[0])
        desk.take(trader, first, commands)
        if number in restarts:
            firings, changes = desk.came()
            came += firings
            for one in changes:
                ts = rows[one.alert].triggered_ts if one.last is None else one.last.ts
                rows[one.alert] = rows[one.alert]._replace(status=one.status, armed=one.armed, fired=one.fired, triggered_ts=ts)
            desk = AccountDesk(PLANS, msgspec.msgpack.decode(desk.state(), type=Kept))
            desk.change(row for row in rows.values() if row.status == "active")
            desk.take(trader, first, commands)
    came += desk.came()[0]
    assert [(one.alert, one.number, one.ts) for one in came] == [told[:3] for told in oracle.came]
    assert [one.value for one in came] == pytest.approx([told[3] for told in oracle.came], abs=1e-6)


def test_a_ledger_holds_what_a_replica_holds():
    """From the same commands, and going on from what the replica has."""
    found = [(number, True, number % 2, number % 2, 1 if number % 3 else -1, number + 1, 5.0 + number) for number in range(9)]
    names, commands = Names(PLANS["main"]), commands_of(found)
    replica, ledger = Replica(names), Ledger.begin("main-1", names)
    for command in ledger.fresh(0, commands):
        ledger.take(command, names)
    replica.apply(0, commands)
    taken = Ledger.of("main-1", replica)
    for own, other in zip(ledger.accounts, taken.accounts, strict=True):
        assert (own.cash, own.deposits) == (other.cash, other.deposits)
        assert {key: lots for key, lots in own.lots.items() if lots} == {key: lots for key, lots in other.lots.items() if lots}
    assert ledger.index == taken.index == 9


class Decided:
    """A topic of decisions, and the members of a group that take it."""

    def __init__(self, store):
        self.store = store
        self.topic = f"commands-{next(NUMBERS)}"
        self.log = []

    def decide(self, first, commands, run="main-1", trader="main"):
        payload = encode_decisions(run, plan_hash(PLANS[trader]), first, commands, 1)
        self.log.append(Message(self.topic, payload, run, offset=len(self.log)))

    async def member(self):
        bus = InProcessBus()
        bus.declare(Topic(self.topic))
        service = AccountAlertService(bus, self.topic, PLANS, self.store, asyncio.Event())
        await service.start()
        return service

    def came(self, row):
        return [(event.number, event.value) for event in self.store.events(alert=row.id)]


FILLS = [(number, True, 0, 0, side, 2, 5.0) for number, side in enumerate((1, 1, 1, -1, -1, 1, 1))]


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["take", "keep", "kill", "again"]), st.integers(1, 3)), max_size=20))
def test_each_crossing_once_whatever_is_killed(store, steps):
    """A position of 1, 2, 3, 2, 1, 2, 3: it comes to 2.5 twice."""

    async def run():
        decided = Decided(store)
        service = await decided.member()
        await service.take([])
        [row] = store.create(0, NewAlert("AAPL", "position_above", 2.5, Spec(accounts=("sma",)), "every"))
        commands, place = commands_of(FILLS), 0
        for first in range(len(FILLS)):
            decided.decide(first, commands[first : first + 1])
        for step, count in [*steps, ("take", 99), ("keep", 0), ("take", 99), ("keep", 0)]:
            if step == "take":
                messages = decided.log[place : place + count]
                place += len(messages)
                await service.take([*service.shares.again(), *messages])
            elif step == "keep":
                await service.keep()
            elif step == "again":
                place = max(place - count, 0)
            else:
                service, place = await decided.member(), 0
        store.delete(0, row.id)
        assert decided.came(row) == [(1, 3.0), (2, 3.0)]

    asyncio.run(run())


async def test_a_new_run_and_one_that_is_over(store):
    """Accounts begin anew with it; what is said again of the one before has no effect, and neither has what has another plan."""
    decided = Decided(store)
    [row] = store.create(0, NewAlert("AAPL", "position_crosses_above", 1.5, mode="every"))
    service = await decided.member()
    fills = commands_of(FILLS)
    decided.decide(0, fills[:2])
    decided.decide(0, fills[:1], run="main-2")
    decided.decide(2, fills[2:3])
    decided.decide(1, fills[1:2], run="main-2")
    decided.decide(0, fills[:3], run="main-3", trader="other")
    decided.log.append(Message(decided.topic, b"\xff", offset=len(decided.log)))
    await service.take(decided.log)
    await service.keep()
    assert decided.came(row) == [(1, 2.0), (2, 2.0)]
    assert service.refused == 2
    store.delete(0, row.id)


async def test_it_begins_with_what_the_portfolio_has_stored(store):
    """Which may be further than what is on the topic; an alert that holds already comes at once."""
    decided = Decided(store)
    commands = commands_of(FILLS)
    replica = Replica(Names(PLANS["main"]))
    replica.apply(0, commands[:3])
    kept = msgspec.msgpack.encode({"main": ("main-1", replica.snapshot()), "other": ("", b"")})
    advance = Progress(f"portfolio {decided.topic}").advance(1, state=kept)
    store._database.run(lambda sql: move(sql, advance))
    [row] = store.create(0, NewAlert("AAPL", "position_above", 2.5, mode="every"))
    service = await decided.member()
    decided.decide(2, commands[2:4])
    decided.decide(4, commands[4:])
    await service.take(decided.log)
    await service.keep()
    assert decided.came(row) == [(1, 3.0)]
    store.delete(0, row.id)


async def test_decisions_that_are_missing_are_refused_until_they_are_stored(store):
    """On a bus that keeps no history: it goes on from the portfolio's accounts once they are further."""
    decided = Decided(store)
    commands = commands_of(FILLS)
    [row] = store.create(0, NewAlert("AAPL", "position_above", 2.5, mode="every"))
    service = await decided.member()
    decided.decide(0, commands[:1])
    decided.decide(3, commands[3:4])
    await service.take(decided.log)
    assert service.refused == 1
    replica = Replica(Names(PLANS["main"]))
    replica.apply(0, commands[:5])
    kept = msgspec.msgpack.encode({"main": ("main-1", replica.snapshot())})
    advance = Progress(f"portfolio {decided.topic}").advance(1, state=kept)
    store._database.run(lambda sql: move(sql, advance))
    decided.decide(4, commands[4:6])
    decided.decide(6, commands[6:])
    await service.take(decided.log[2:])
    await service.keep()
    assert decided.came(row) == [(1, 3.0)]
    store.delete(0, row.id)
