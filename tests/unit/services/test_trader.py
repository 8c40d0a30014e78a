"""The trader: one total order, durable before effects, the same bytes however the events are cut and wherever it starts again."""

import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.stores.base import ENDED, OPEN, RECOVERED
from openbell.adapters.stores.journal import SqliteJournal
from openbell.engine.plan import Plan
from openbell.errors import BusError, ConfigError, JournalError, ReplayDifferenceError, StorageError, UsageError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.services.replay.replay import replay
from openbell.services.trader.intake import BATCH_MAX, concatenated, request_event
from openbell.services.trader.trader import Trader
from tests.simulation.session import PLAN, ticks

SESSION = ticks(4000)


@pytest.fixture
def journal(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        yield journal


def opened(journal, publish=None, **options):
    return Trader.open(journal, "r", PLAN, publish, created_ns=1, **options)


def feed_in(trader, events, sizes):
    """Feed the events in batches of these sizes, over and over; the cursor is the place."""
    place, number = 0, 0
    while place < len(events):
        size = sizes[number % len(sizes)]
        trader.feed(events[place : place + size], str(place + size).encode())
        place, number = place + size, number + 1


def hashes(trader):
    return trader.state_hash(), trader.decision_hash()


@pytest.fixture(scope="module")
def whole():
    """The session as one batch: hashes, and every command."""
    with tempfile.TemporaryDirectory() as folder, SqliteJournal(Path(folder, "journal.db")) as journal:
        trader = opened(journal)
        commands = trader.feed(SESSION)
        assert (commands["kind"] == enums.FILL).sum() > 10, "a session in which something happens"
        return hashes(trader), commands.tobytes()


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=8), restarts=st.integers(0, 3))
def test_neither_the_cutting_nor_a_restart_changes_a_bit(whole, sizes, restarts):
    """Load changes the size of batches, a crash where they are begun: never a decision, an order id, or the state."""
    with tempfile.TemporaryDirectory() as folder, SqliteJournal(Path(folder, "journal.db")) as journal:
        published = []
        for life in range(restarts + 1):
            trader = opened(journal, lambda _first, commands: published.append(commands.tobytes()), checkpoint_events=900)
            place = int(trader.cursor or 0)
            feed_in_from(trader, place, len(SESSION) * (life + 1) // (restarts + 1), sizes)
        assert hashes(trader) == whole[0]
        assert b"".join(published) == whole[1]
        assert replay(journal, "r").identical


def feed_in_from(trader, place, end, sizes):
    number = 0
    while place < end:
        size = min(sizes[number % len(sizes)], end - place)
        trader.feed(SESSION[place : place + size], str(place + size).encode())
        place, number = place + size, number + 1


def test_events_are_numbered_and_time_never_falls(journal):
    """Whatever the feed says: `seq` has no gap, `ts_available` does not go back, and the caller's array stays as it was."""
    trader = opened(journal)
    events = SESSION[:20].copy()
    events["ts_available"][10] -= 1_000_000_000
    before = events.tobytes()
    trader.feed(events)
    trader.feed(SESSION[:3])
    written = concatenated([batch.events for batch in journal.batches("r")])
    assert events.tobytes() == before
    assert written["seq"].tolist() == list(range(1, 24))
    assert (np.diff(written["ts_available"]) >= 0).all()
    assert trader.raised == 4


def test_the_cursor_is_stored_with_the_effect(journal):
    """A restart goes on where the last journaled batch ended; a request leaves the cursor."""
    trader = opened(journal)
    trader.feed(SESSION[:100], b"100")
    trader.request(enums.REQUEST_PAUSE, strategy=0)
    assert opened(journal).cursor == b"100"
    assert opened(journal).seq == 101


def test_commands_are_journaled_before_they_leave(journal):
    """At the moment of publishing the journal holds them, marked as not sent."""
    seen = []

    def publish(first, commands):
        run = journal.run("r")
        seen.append((run.commands >= first + len(commands), run.sent <= first))

    feed_in(opened(journal, publish), SESSION, [300])
    assert seen
    assert set(seen) == {(True, True)}
    assert journal.run("r").sent == journal.run("r").commands


def test_what_a_failing_publisher_did_not_take_is_published_later_in_order(journal):
    """Nothing is skipped, nothing is decided again; the indices show it."""
    taken, broken = [], [True]

    def publish(first, commands):
        if broken[0] and first > 0:
            raise BusError("the bus is closed")
        taken.append((first, len(commands)))

    trader = opened(journal, publish)
    place = 0
    while not trader.pending:
        try:
            trader.feed(SESSION[place : place + 200])
        except BusError:
            assert len(taken) == 1
        place += 200
    broken[0] = False
    trader.feed(SESSION[place : place + 200])
    assert [first for first, _ in taken] == np.cumsum([0] + [count for _, count in taken])[:-1].tolist()
    assert (trader.pending, trader.sent) == ((), trader.commands)


def test_what_had_not_left_leaves_again_after_a_crash_with_the_same_bytes(journal):
    """Order ids come from the event's place in the order, so a command derived again is the same command."""
    first_life = opened(journal)
    batches = [first_life.commit(SESSION[start : start + 500]) for start in range(0, 2000, 500)]
    journal.mark_sent("r", 3)
    published = []
    opened(journal, lambda first, commands: published.append((first, commands.tobytes())))
    everything = b"".join(commands.tobytes() for commands in batches)
    assert published[0][0] == 3
    assert b"".join(body for _, body in published) == everything[3 * COMMAND.itemsize :]


def test_events_without_a_decision_leave_nothing_to_say_after_a_crash(journal):
    """Batches that decided nothing, behind commands that had not left, are none of what is handed out again."""
    first = opened(journal)
    told = [len(first.commit(SESSION[at : at + 1], None)) for at in range(400)]
    assert told[-1] == 0 < sum(told), "a session whose last event decides nothing"
    again = opened(journal)
    assert [len(commands) for _, commands in again.pending] == [count for count in told if count]


def test_the_status_tells_what_happened(journal):
    """Closed in order, crashed, taken up again."""
    trader = opened(journal)
    trader.feed(SESSION[:50])
    assert journal.run("r").status == OPEN
    trader.close()
    assert journal.run("r").status == ENDED
    opened(journal).feed(SESSION[50:60])
    assert journal.run("r").status == OPEN
    assert opened(journal).seq == 60
    assert (journal.run("r").status, journal.run("r").recoveries) == (RECOVERED, 1)


def test_recovery_uses_the_newest_checkpoint_that_is_whole(journal, tmp_path, whole):
    """A damaged one costs time, never a bit; with none left the run is stepped from its beginning."""
    feed_in(opened(journal, checkpoint_events=1000), SESSION, [100])
    found = []
    for _ in range(4):
        trader = opened(journal)
        recovery = trader.recover()
        found.append((recovery.checkpoint, recovery.events_replayed))
        assert hashes(trader) == whole[0]
        with sqlite3.connect(tmp_path / "journal.db") as other:
            other.execute("UPDATE checkpoints SET state = zeroblob(length(state)) WHERE seq = ?", (recovery.checkpoint,))
        other.close()
    assert found == [(4000, 0), (3000, 1000), (2000, 2000), (0, 4000)]


def test_other_code_goes_on_only_where_it_agrees(journal):
    """After an update the whole run is stepped again: the same decisions are taken up, one that differs is named."""
    trader = opened(journal, checkpoint_events=1000)
    feed_in(trader, SESSION, [500])
    trader.close()
    journal.take_up("r", "an older build")
    recovery = opened(journal).recover()
    assert recovery.events_replayed == 0, "taken up by this code, whose checkpoints count again"
    batch = list(journal.batches("r"))[-1]
    changed = batch.commands.copy()
    changed["quantity"][0] += 1
    events = batch.events.copy()
    events["seq"] += len(events)
    journal.append("r", events, b"", changed)
    with pytest.raises(ReplayDifferenceError, match="the code is the same"):
        opened(journal)
    journal.take_up("r", "an older build")
    with pytest.raises(ReplayDifferenceError, match=r"command \d+ .* of event \d+.*the code has changed since \(an older build"):
        opened(journal)


def test_a_journal_that_lost_what_was_published_is_refused(journal):
    """Better no trading than trading on half a memory."""
    trader = opened(journal)
    trader.feed(SESSION[:1000])
    journal.mark_sent("r", trader.commands + 1)
    with pytest.raises(JournalError, match=f"{trader.commands + 1} commands have left, and the journal holds {trader.commands}"):
        opened(journal)


def test_another_plan_needs_another_run(journal):
    """A run is its plan."""
    opened(journal).feed(SESSION[:10])
    with pytest.raises(ConfigError, match="another plan"):
        Trader.open(journal, "r", Plan(PLAN.listings, PLAN.assignments[:1]), created_ns=1)


def test_a_refusing_disk_stops_the_trader_before_anything_leaves(journal):
    """The engine is ahead of the journal then; `recover` takes it back, and the same events give the same commands."""
    published = []
    trader = opened(journal, lambda first, commands: published.append((first, commands.tobytes())))
    trader.feed(SESSION[:1000])
    before, seen = hashes(trader), len(published)
    journal._sql.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StorageError, match="disk is full"):
        trader.feed(SESSION[1000:2000])
    with pytest.raises(StorageError, match="stopped at a fault"):
        trader.feed(SESSION[1000:2000])
    assert len(published) == seen
    journal._sql.execute("PRAGMA max_page_count = 100000")
    trader.recover()
    assert hashes(trader) == before
    trader.feed(SESSION[1000:])
    assert replay(journal, "r").identical


def test_a_user_is_part_of_the_one_order(journal):
    """A request is an event: journaled, numbered, replayed."""
    trader = opened(journal)
    trader.feed(SESSION[:1000])
    commands = trader.request(enums.REQUEST_SUBMIT, strategy=1, instrument=0, side=enums.BUY, quantity=100, order_type=enums.LIMIT,
                              limit_price=SESSION["trade"]["price"][999] - 5)  # fmt: skip
    order = commands["order_id"][commands["kind"] == enums.SUBMIT]
    assert order.tolist() == [(1001 << 10) + 1]
    canceled = trader.request(enums.REQUEST_CANCEL, strategy=1, order_id=int(order[0]))
    assert canceled["status"].tolist() == [enums.CANCELED]
    killed = trader.request(enums.REQUEST_KILL, strategy=0)
    assert killed["status"].tolist() == [enums.HALTED]
    trader.feed(SESSION[1000:])
    assert replay(journal, "r").identical


def test_batches_are_checked(journal):
    """Records of another kind, and more of them than one transaction should hold."""
    trader = opened(journal)
    with pytest.raises(UsageError, match="EVENT records"):
        trader.feed(np.zeros(3))
    with pytest.raises(UsageError, match="Cut the batch"):
        trader.feed(np.zeros(BATCH_MAX + 1, SESSION.dtype))
    assert len(trader.feed(SESSION[:0])) == 0
    assert trader.seq == 0


def test_joining_keeps_the_records():
    """As numpy would not: it would lay the members of the union side by side."""
    both = concatenated([SESSION[:2], request_event(enums.REQUEST_PAUSE, strategy=0)])
    assert both.dtype == SESSION.dtype
    assert both[:2].tobytes() == SESSION[:2].tobytes()
