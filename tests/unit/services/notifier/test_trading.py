"""What of a trader's decisions is told, from a session through the kernel and from single commands."""

import numpy as np
import pytest

from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.services.names import Names
from openbell.services.notifier.trading import TradingNews
from tests.unit.services.sessions import session


@pytest.fixture(scope="module")
def played():
    return session()


def trader(engine):
    return TradingNews(Names(engine.plan))


def test_every_fill_and_every_denial_once(played):
    """As the kernel has counted them, with ids that say which command it was."""
    engine, commands, _ = played
    news = trader(engine).of("main-1", 0, commands)
    events = [one.event for one in news]
    assert events.count("fill") == engine.head["fills"] > 20
    assert events.count("risk") == engine.head["denials"] > 0
    assert len({one.id for one in news}) == len(news)
    for one in news:
        command = commands[int(one.id.removeprefix("main-1:"))]
        assert one.ts == command["ts"]
        assert one.fields["symbol"] == engine.plan.listings[command["instrument"]].symbol


@pytest.mark.parametrize("size", [1, 7, 100])
def test_any_cutting_gives_the_same(played, size):
    """Commands may come in pieces of any size, and again: the ids are the same."""
    engine, commands, _ = played
    whole, pieces = trader(engine).of("r", 0, commands), trader(engine)
    assert whole == [one for first in range(0, len(commands), size) for one in pieces.of("r", first, commands[first : first + size])]


def command(**fields):
    made = np.zeros(1, COMMAND)
    for name, value in fields.items():
        made[name] = value
    return made


@pytest.mark.parametrize(
    ("fields", "event", "severity", "said"),
    [
        ({"kind": enums.ORDER, "status": enums.REJECTED, "reason": enums.BY_VENUE}, "rejection", "warning", "refused by the venue"),
        ({"kind": enums.ORDER, "status": enums.DENIED, "reason": enums.PRICE_COLLAR}, "risk", "warning", "price collar"),
        ({"kind": enums.ORDER, "status": enums.UNKNOWN}, "risk", "critical", "no answer"),
        ({"kind": enums.STATE, "status": enums.HALTED, "reason": enums.KILLED}, "kill", "critical", "killed"),
        ({"kind": enums.STATE, "status": enums.FAULTED, "reason": enums.STRATEGY_FAULT}, "risk", "critical", "raised an exception"),
        ({"kind": enums.STATE, "status": enums.REDUCING}, "risk", "critical", "no reason given"),
    ],
)
def test_what_is_told(played, fields, event, severity, said):
    """Each with how much it matters, and why."""
    engine, _, _ = played
    [news] = trader(engine).of("r", 5, command(**fields, side=1, order_id=77, quantity=3, ts=9))
    assert (news.id, news.event, news.severity, news.ts) == ("r:5", event, severity, 9)
    assert said in news.fields["reason"]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": enums.ORDER, "status": enums.ACCEPTED}, {"kind": enums.ORDER, "status": enums.CANCELED}, {"kind": enums.SUBMIT},
        {"kind": enums.STATE, "status": enums.ACTIVE}, {"kind": enums.STATE, "status": enums.PAUSED}, {"kind": enums.SIGNAL},
        {"kind": enums.CANDLE}, {"kind": enums.EQUITY}, {"kind": enums.REFUSED, "reason": enums.LATE},
        {"kind": enums.SUBMIT, "status": enums.DENIED},
    ],
)  # fmt: skip
def test_what_is_not_told(played, fields):
    """What goes its ordinary way."""
    engine, _, _ = played
    assert trader(engine).of("r", 0, command(**fields)) == []


def test_a_strategy_that_is_armed_again(played):
    """Is told where it was told that it was killed, and once."""
    engine, _, _ = played
    news = trader(engine)
    states = np.concatenate([command(kind=enums.STATE, status=status) for status in (enums.HALTED, enums.ACTIVE, enums.ACTIVE)])
    assert [(one.event, one.fields["state"], one.severity) for one in news.of("r", 0, states)] == [
        ("kill", "halted", "critical"), ("kill", "active", "warning"),
    ]  # fmt: skip
