"""Explain: what is said of an order is what can be worked out by hand from the ticks before it."""

import json

import numpy as np
import pytest

from openbell.adapters.stores.journal import SqliteJournal
from openbell.errors import UnknownNameError, UsageError
from openbell.model import enums
from openbell.services.replay.explain import explain, parse_order
from openbell.services.trader.trader import Trader
from tests.simulation.session import PLAN, ticks

SESSION = ticks(6000)
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A journal of the session with some checkpoints, and every command."""
    with SqliteJournal(tmp_path_factory.mktemp("explain") / "journal.db") as journal:
        trader = Trader.open(journal, "r", PLAN, created_ns=1, checkpoint_events=1000)
        commands = [trader.feed(SESSION[start : start + 250]) for start in range(0, len(SESSION), 250)]
        price = float(SESSION["trade"]["price"][-1])
        commands.append(
            trader.request(
                enums.REQUEST_SUBMIT, strategy=0, instrument=0, side=enums.BUY, quantity=1, order_type=enums.LIMIT, limit_price=price
            )
        )
        yield journal, np.concatenate([part.view(np.uint8) for part in commands]).view(commands[0].dtype)


def orders(commands, kind, strategy, status=None):
    rows = commands[(commands["kind"] == kind) & (commands["strategy"] == strategy)]
    return [int(row["order_id"]) for row in rows if status is None or row["status"] == status]


def second_closes(events):
    """Closes of the one-second candles that were complete before the last of these events."""
    seconds = events["ts_event"] // SECOND
    last = np.flatnonzero(np.diff(seconds))
    return events["trade"]["price"][last]


def test_the_figures_are_those_of_the_ticks(session):
    """Event, averages, position, cash and price, worked out here from the ticks and the fills before the order."""
    journal, commands = session
    order = orders(commands, enums.SUBMIT, 0)[9]
    found = explain(journal, order)
    seq = order >> 10
    closes = second_closes(SESSION[:seq])
    fills = commands[(commands["kind"] == enums.FILL) & (commands["strategy"] == 0) & (commands["seq"] <= seq)]
    held = int((fills["side"] * fills["quantity"]).sum())
    spent = sum(round(float(row["price"]) * int(row["quantity"]) * 10) * int(row["side"]) + int(row["amount"]) for row in fills)

    assert (found.seq, found.order_id, found.client_order_id) == (seq, order, f"r-{order}")
    assert found.event["price"] == float(SESSION["trade"]["price"][seq - 1])
    assert (found.decided_by, found.handler, found.handed["kind"]) == ("crossover", "on_bar", "bar")
    assert found.handed["close"] == closes[-1]
    assert found.indicators == {
        "short_average": pytest.approx(closes[-3:].mean(), rel=1e-12),
        "long_average": pytest.approx(closes[-8:].mean(), rel=1e-12),
    }
    assert found.local == {"short": found.indicators["short_average"], "long": found.indicators["long_average"]}
    assert (found.indicators["short_average"] > found.indicators["long_average"]) == (found.side == "buy")
    assert found.fields == {"instruments": 1, "short_period": 3, "long_period": 8}
    assert found.account["position"] == held
    assert found.account["cash"] == pytest.approx((100_000_000_000 - spent) / 1e6, abs=1e-6 * len(fills))
    assert {check.verdict for check in found.checks} == {"passed"}
    assert found.same_source


def test_the_life_of_an_order_is_told_to_its_end(session):
    """Every command about it, in order, and nothing of others."""
    journal, commands = session
    order = orders(commands, enums.SUBMIT, 0)[9]
    mine = commands[(commands["order_id"] == order) & (commands["kind"] != enums.CANDLE)]
    found = explain(journal, f"r-{order}")
    assert [step["what"] for step in found.life] == [enums.COMMAND_NAMES[kind] for kind in mine["kind"].tolist()]
    assert [step["what"] for step in found.life] == ["signal", "submit", "fill"]
    assert found.life[-1]["status"] == "filled"
    assert found.life[-1]["fee"] == int(mine["amount"][-1]) / 1e6


def test_a_denied_order_names_its_check(session):
    """All-in is more than the twentieth of the cash that the careful strategy may put into one order."""
    journal, commands = session
    order = orders(commands, enums.ORDER, 1, enums.DENIED)[0]
    found = explain(journal, order)
    verdicts = {check.name: check.verdict for check in found.checks}
    value = next(check for check in found.checks if check.name == "order value")
    assert (value.saw, value.limit, value.verdict) == (10_000.0, 500.0, "denied")
    assert verdicts["well formed"] == "passed"
    assert verdicts["cash needed"] == "not reached"
    assert found.life[-1]["reason"] == enums.REASONS[enums.MAX_ORDER_VALUE]


def test_an_order_of_a_user_has_no_handler(session):
    """It says who asked, and the checks are the same."""
    order = ((len(SESSION) + 1) << 10) + 1
    found = explain(session[0], order)
    assert (found.decided_by, found.handler, found.event["kind"], found.order_type) == ("user", "", "request", "limit")
    assert len(found.checks) == 13
    assert "asked for by a user" in str(found)


def test_every_order_can_be_explained_and_printed(session):
    """As text of some lines and as JSON."""
    journal, commands = session
    for order in sorted({*orders(commands, enums.SUBMIT, 0), *orders(commands, enums.SIGNAL, 1)})[::3]:
        found = explain(journal, order)
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["order_id"] == order
        text = str(found)
        assert text.startswith(f"order r-{order}")
        assert 15 < len(text.splitlines()) < 50


@pytest.mark.parametrize("order", [0, 5, 1 << 10, (10 << 10) + 1, (99_999 << 10) + 1])
def test_an_unknown_order_is_said_to_be_unknown(session, order):
    """No such event, or an event that decided nothing."""
    with pytest.raises(UnknownNameError, match=f"run r has no order {order}"):
        explain(session[0], order)


def test_an_order_is_named_by_number_or_by_its_id_at_the_broker():
    """The run is the part before the last hyphen."""
    assert parse_order(20481) == ("", 20481)
    assert parse_order("a-b-20481") == ("a-b", 20481)
    with pytest.raises(UsageError, match="'AAPL'"):
        parse_order("AAPL")
