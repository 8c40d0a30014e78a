"""Replay: agreement to the bit, or the first difference by name."""

import json

import numpy as np
import pytest

from openbell.adapters.stores.journal import SqliteJournal
from openbell.engine.engine import Engine
from openbell.errors import JournalError, ReplayDifferenceError, UnknownNameError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.services.replay.difference import first_difference
from openbell.services.replay.replay import replay
from openbell.services.trader.trader import Trader
from tests.simulation.session import PLAN, ticks

SESSION = ticks(3000)


@pytest.fixture
def journal(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        yield journal


def journaled(journal, change, source="the code of that day"):
    """A run whose journal holds what `change` makes of the second batch's commands."""
    engine = Engine(PLAN)
    journal.create_run("r", PLAN.to_dict(), source, 1)
    for number, start in enumerate(range(0, len(SESSION), 1000)):
        events = SESSION[start : start + 1000].copy()
        events["seq"] = np.arange(start + 1, start + 1 + len(events))
        commands = engine.run(events)
        journal.append("r", events, b"", change(commands) if number == 1 else commands)
    return journal


def test_a_session_replays_to_the_bit(journal):
    """Commands, decisions and state are those of the session itself."""
    trader = Trader.open(journal, "r", PLAN, created_ns=1)
    for start in range(0, len(SESSION), 700):
        trader.feed(SESSION[start : start + 700])
    result = replay(journal)
    assert (result.run, result.identical, result.difference, result.same_source) == ("r", True, None, True)
    assert (result.events, result.commands) == (len(SESSION), trader.commands)
    assert result.decision_hash == result.journaled_hash == trader.decision_hash()
    assert result.state_hash == trader.state_hash()
    assert "identical" in str(result)
    assert json.loads(json.dumps(result.to_dict()))["identical"] is True
    result.raise_if_different()


def test_a_changed_order_is_named_field_by_field(journal):
    """The event, the order, what the journal says and what the replay says."""

    def change(commands):
        changed = commands.copy()
        place = int(np.flatnonzero(changed["kind"] == enums.SUBMIT)[0])
        changed["price"][place], changed["quantity"][place] = 12.5, 7
        change.order = int(changed["order_id"][place])
        return changed

    result = replay(journaled(journal, change))
    assert not result.identical
    assert (result.difference.order_id, result.difference.seq, result.difference.kind) == (change.order, change.order >> 10, "submit")
    assert {name: journaled for name, journaled, _ in result.difference.fields} == {"price": 12.5, "quantity": 7}
    with pytest.raises(ReplayDifferenceError, match=rf"order {change.order}.*quantity 7 -> "):
        result.raise_if_different()


@pytest.mark.parametrize(
    ("change", "missing"),
    [(lambda commands: commands[:-1], "journaled"), (lambda commands: commands[[*range(len(commands)), 0]], "replayed")],
)
def test_a_command_too_few_or_too_many_is_a_difference(journal, change, missing):
    """Also where all others are the same."""
    result = replay(journaled(journal, change))
    assert result.difference.missing == missing
    assert f"was not {missing}" in str(result.difference)


def test_other_code_is_said_and_the_replay_goes_on(journal):
    """A hash that differs is no difference in the decisions."""
    result = replay(journaled(journal, lambda commands: commands))
    assert (result.identical, result.same_source) == (True, False)
    assert "the code has changed since: the code of that day" in str(result)


def test_an_unknown_run_is_a_usage_error(journal):
    """With the near names."""
    journaled(journal, lambda commands: commands)
    with pytest.raises(UnknownNameError, match="there is no run 'x'"):
        replay(journal, "x")


def test_damage_is_not_a_difference(journal):
    """A journal that cannot be trusted is not compared."""
    journaled(journal, lambda commands: commands)
    journal._sql.execute("UPDATE batches SET cursor = x'01' WHERE first_seq = 1001")
    with pytest.raises(JournalError, match="events 1001 to 2000"):
        replay(journal)


def test_candles_are_compared_by_their_own_fields():
    """A candle shares its bytes with the other kinds of command."""
    one, other = np.zeros(1, COMMAND), np.zeros(1, COMMAND)
    for commands, close in ((one, 2.0), (other, 3.0)):
        commands["kind"], commands["bar"]["close"] = enums.CANDLE, close
    difference = first_difference(one, other, 10)
    assert (difference.index, difference.kind, difference.order_id, difference.fields) == (10, "candle", 0, (("close", 2.0, 3.0),))
    assert first_difference(one, one.copy()) is None


def test_nan_is_equal_to_the_same_nan():
    """Bits are compared, not numbers."""
    one = np.zeros(1, COMMAND)
    one["price"] = np.nan
    assert first_difference(one, one.copy()) is None
