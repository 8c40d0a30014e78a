"""The contract of `openbell.adapters.stores.base.Journal`, held to every implementation: a SQLite file, a PostgreSQL database."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from openbell.adapters.stores.base import CHECKPOINTS_KEPT, ENDED, OPEN, RECOVERED, Checkpoint
from openbell.adapters.stores.database import Address
from openbell.adapters.stores.journal import SqliteJournal
from openbell.errors import JournalError, StorageError, UnknownNameError, UsageError
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT
from tests.contracts.stores import ENGINES, place_for
from tests.databases import statement

PLAN = {"listings": [{"symbol": "A"}], "fee": 0.1}


def open_at(place, writable=True, **options):
    """The journal at a place, for its writer or for a reader."""
    if isinstance(place, Address):
        from openbell.adapters.stores.postgres_journal import PostgresJournal

        return PostgresJournal(place, writable, **options)
    return SqliteJournal(place, writable, **options)


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where the journal of this test is."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def opening(place):
    """Opens the journal of this test again and again; closes what is left open."""
    opened = []

    def open_journal(writable=True):
        opened.append(open_at(place, writable))
        return opened[-1]

    yield open_journal
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(opening):
    """A journal with one run, `r`."""
    journal = opening()
    journal.create_run("r", PLAN, "source", 123)
    return journal


def events(first, count):
    """Events with content that differs from one to the next."""
    made = np.zeros(count, EVENT)
    made["seq"] = np.arange(first, first + count)
    made["trade"]["price"] = 100.0 + made["seq"]
    return made


def commands(seq, count):
    """Commands of one event."""
    made = np.zeros(count, COMMAND)
    made["seq"], made["order_id"] = seq, np.arange(count) + (seq << 10)
    return made


def fill(journal, sizes, run="r"):
    """Append batches of these numbers of events; the batch of n events causes n % 3 commands."""
    for size in sizes:
        first = journal.run(run).seq + 1
        journal.append(run, events(first, size), f"cursor {first}".encode(), commands(first, size % 3))


def content(journal, run="r", after=0):
    return [(b.first_seq, b.events.tobytes(), b.cursor, b.first_command, b.commands.tobytes()) for b in journal.batches(run, after)]


def test_a_run_is_kept_as_it_was_created(journal, opening):
    """Plan, code, time and status are there for the next process."""
    journal.close()
    run = opening().run("r")
    assert (run.id, run.plan, run.source, run.created_ns, run.status) == ("r", PLAN, "source", 123, OPEN)
    assert (run.seq, run.commands, run.sent, run.recoveries) == (0, 0, 0, 0)


def test_batches_come_back_bit_for_bit(journal, opening):
    """Events, commands, cursor and their places in the run, after the process has ended."""
    fill(journal, [1, 5, 3, 2])
    written = content(journal)
    assert [(first, command) for first, _, _, command, _ in written] == [(1, 0), (2, 1), (7, 3), (10, 3)]
    assert written[1][1] == events(2, 5).tobytes()
    assert written[1][4] == commands(2, 2).tobytes()
    journal.close()
    again = opening()
    assert content(again) == written
    assert content(again, after=6) == written[2:]
    assert again.cursor("r") == b"cursor 10"
    assert (again.run("r").seq, again.run("r").commands) == (11, 5)


def test_what_comes_back_cannot_be_changed(journal):
    """A batch is a view of what was written, not a copy to scribble on."""
    fill(journal, [2])
    batch = next(journal.batches("r"))
    assert not batch.events.flags.writeable
    assert not batch.commands.flags.writeable


def test_a_second_writer_is_refused(journal, opening):
    """In the same process as in another; the message says who holds it."""
    with pytest.raises(StorageError, match=f"another process.*{os.getpid()}"):
        opening()


def test_a_writer_that_is_killed_lets_go(place, opening):
    """The lock belongs to the process, not to a file that somebody has to remove."""
    code = """
        import json, sys
        from pathlib import Path
        from tests.contracts.test_journal import PLAN, Address, fill, open_at
        place = json.loads(sys.stdin.readline())
        journal = open_at(Address(**place) if isinstance(place, dict) else Path(place))
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [3, 4])
        print("ready", flush=True)
        sys.stdin.read()
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdin.write(json.dumps(str(place) if isinstance(place, Path) else asdict(place)) + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "ready\n"
    with pytest.raises(StorageError, match=str(child.pid)):
        opening()
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    again = opening()
    assert (again.run("r").seq, again.run("r").commands, len(content(again))) == (7, 1, 2)


def test_readers_are_not_in_the_way(journal, opening):
    """A reader sees every batch that is complete, while the writer goes on, also in the middle of reading."""
    fill(journal, [2, 2])
    reader = opening(writable=False)
    reading = reader.batches("r")
    assert next(reading).first_seq == 1
    fill(journal, [2])
    assert [batch.first_seq for batch in reading][:1] == [3]
    assert [batch.first_seq for batch in reader.batches("r")] == [1, 3, 5]


@pytest.mark.parametrize("first", [1, 3, 5, 7])
def test_a_gap_is_refused(journal, first):
    """The next batch starts where the last one ended, or it is not written."""
    fill(journal, [3])
    with pytest.raises(JournalError, match=rf"events {first} to {first + 1} would leave a gap; expected event 4 next"):
        journal.append("r", events(first, 2), b"", commands(first, 0))
    assert journal.run("r").seq == 3


def test_reading_starts_between_batches_only(journal):
    """A place inside a batch is a place the journal does not have."""
    fill(journal, [3, 3])
    with pytest.raises(JournalError, match="event 4"):
        list(journal.batches("r", after=4))


def test_the_mark_of_what_was_sent_never_moves_back(journal):
    """Marks may come late."""
    fill(journal, [2, 2])
    journal.mark_sent("r", 3)
    journal.mark_sent("r", 2)
    assert journal.run("r").sent == 3


def test_status_tells_a_crash_from_an_end(journal, opening):
    """Open while it is written, ended when closed in order, recovered when it was not."""
    fill(journal, [2])
    journal.end_run("r")
    assert journal.run("r").status == ENDED
    assert journal.take_up("r", "source").status == OPEN
    journal.close()
    again = opening()
    recovered = again.take_up("r", "newer")
    assert (recovered.status, recovered.recoveries, recovered.source) == (RECOVERED, 1, "newer")
    again.end_run("r")
    assert again.run("r").status == ENDED


def test_runs_are_told_apart(journal):
    """Each has its own order from 1, and `last` is the newest."""
    journal.create_run("s", {}, "source", 124)
    fill(journal, [2, 3])
    fill(journal, [4], run="s")
    fill(journal, [1])
    assert [(run.id, run.seq) for run in journal.runs()] == [("r", 6), ("s", 4)]
    assert journal.run("last").id == "s"
    assert [batch.first_seq for batch in journal.batches("r")] == [1, 3, 6]


@pytest.mark.parametrize("name", ["r", "", "a b", "x" * 17, "last", "-x", "x/y"])
def test_names_of_runs_are_checked(journal, name):
    """Taken, empty, too long for a broker, or not to be told from an option."""
    with pytest.raises(UsageError):
        journal.create_run(name, {}, "source", 1)


def test_an_unknown_run_offers_the_near_ones(journal):
    """Whatever is asked about it."""
    journal.create_run("session-1", {}, "source", 1)
    for ask in (journal.run, journal.cursor, lambda name: list(journal.batches(name)), lambda name: list(journal.checkpoints(name))):
        with pytest.raises(UnknownNameError, match="session-1"):
            ask("session-2")


def test_checkpoints_come_newest_first_and_few_are_kept(journal, opening):
    """The oldest make room."""
    for number in range(CHECKPOINTS_KEPT + 2):
        fill(journal, [2])
        seq = journal.run("r").seq
        journal.save_checkpoint("r", Checkpoint(seq, journal.run("r").commands, "source", f"state {number}".encode()))
    journal.close()
    kept = list(opening().checkpoints("r"))
    assert [checkpoint.seq for checkpoint in kept] == [10, 8, 6]
    assert kept[0] == Checkpoint(10, 10, "source", b"state 4")


def test_durable_batches_are_read_back_like_others(journal):
    """What `durable` adds is the wait for the disk."""
    journal.append("r", events(1, 2), b"c", commands(1, 2), durable=True)
    fill(journal, [2])
    assert [batch.first_seq for batch in journal.batches("r")] == [1, 3]


def test_closing_twice_is_closing(journal, opening):
    """So that a `with` and a supervisor may both do it."""
    journal.close()
    journal.close()
    assert opening().run("r").id == "r"


def test_a_reader_of_nothing_is_told_so(opening):
    """Reading does not create."""
    with pytest.raises(StorageError, match="there is no"):
        opening(writable=False)


# What is changed behind the journal's back, in the database's own words.


def change(place, query, *values):
    """One statement that changes one row."""
    if isinstance(place, Address):
        assert statement(place, query.replace("?", "%s") + " RETURNING 1", *values) == [(1,)]
        return
    with contextlib.closing(sqlite3.connect(place, isolation_level=None)) as connection:
        assert connection.execute(query, values).rowcount == 1


def value(place, query):
    """The one value of a query."""
    if isinstance(place, Address):
        return statement(place, query)[0][0]
    with contextlib.closing(sqlite3.connect(place)) as connection:
        return connection.execute(query).fetchone()[0]


@pytest.mark.parametrize(
    ("table", "column", "changed", "problem"),
    [
        ("batches", "events", lambda found: found[:-1], "events 4 to 5 do not match"),
        ("batches", "commands", lambda found: found + found, "events 4 to 5 do not match"),
        ("batches", "events", lambda found: bytes(len(found)), "events 4 to 5 do not match"),
        ("batches", "checksum", lambda found: bytes(len(found)), "events 4 to 5 do not match"),
        ("batches", "cursor", lambda _: b"0", "events 4 to 5 do not match"),
        ("batches", "first_command", lambda _: 7, "events 4 to 5 do not match"),
        ("batches", "event_count", lambda _: 0, "events 4 to 4 do not match"),
        ("batches", "event_count", lambda _: 1 << 60, "do not match"),
        ("marks", "mark", lambda found: bytes(len(found)), "the mark of where it stands does not match"),
        ("runs", "plan", lambda _: "{}", "its plan does not match"),
        ("runs", "layout", lambda _: "older", "laid out as in openbell"),
    ],
)
def test_damage_is_named(place, opening, table, column, changed, problem):
    """The range of events, and what to do."""
    with opening() as journal:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, (3, 2, 4, 2))
    where = "WHERE first_seq = 4" if table == "batches" else ""
    found = value(place, f"SELECT {column} FROM {table} {where}")
    change(place, f"UPDATE {table} SET {column} = ? {where}", changed(found))
    journal = opening()
    with pytest.raises(JournalError, match=problem):
        content(journal)


@pytest.mark.parametrize(
    ("first_seq", "problem"), [(4, "events 4 to 5 are missing"), (1, "events 1 to 3 are missing"), (10, "events 10 to 11 are missing")]
)
def test_batches_that_are_gone_are_named(place, opening, first_seq, problem):
    """In the middle, at the beginning, at the end."""
    with opening() as journal:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, (3, 2, 4, 2))
    change(place, f"DELETE FROM batches WHERE first_seq = {first_seq}")
    journal = opening()
    with pytest.raises(JournalError, match=problem):
        content(journal)


@pytest.mark.parametrize("column", ["events", "commands", "cursor", "checksum"])
def test_a_flipped_bit_of_a_batch_is_detected(place, opening, column):
    """Whichever it is; here every 29th."""
    with opening() as journal:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, (2, 2))
    reader = opening(writable=False)
    whole = content(reader)
    blob = value(place, f"SELECT {column} FROM batches WHERE first_seq = 3")
    for bit in range(0, len(blob) * 8, 29):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        change(place, f"UPDATE batches SET {column} = ? WHERE first_seq = 3", bytes(flipped))
        with pytest.raises(JournalError, match="events 3 to 4 do not match"):
            content(reader)
    change(place, f"UPDATE batches SET {column} = ? WHERE first_seq = 3", blob)
    assert content(reader) == whole


def test_a_damaged_checkpoint_is_passed_over(place, opening):
    """The one before it does as well; so does one of a batch that is gone."""
    with opening() as journal:
        journal.create_run("r", PLAN, "source", 1)
        for _ in range(3):
            fill(journal, [2])
            run = journal.run("r")
            journal.save_checkpoint("r", Checkpoint(run.seq, run.commands, "source", b"state" * 100))
    change(place, "UPDATE checkpoints SET state = ? WHERE seq = 6", bytes(500))
    with opening() as journal:
        assert [checkpoint.seq for checkpoint in journal.checkpoints("r")] == [4, 2]
    change(place, "DELETE FROM batches WHERE first_seq = 3")
    with opening() as journal:
        assert [checkpoint.seq for checkpoint in journal.checkpoints("r")] == [2]


def test_batches_of_many_sizes_are_read_one_after_the_other(journal, opening):
    """Small ones and large ones in turn."""
    sizes = [1] * 300 + [5_000, 1, 40_000] + [1] * 20 + [300, 70_000, 2]
    fill(journal, sizes)
    reader = opening(writable=False)
    assert [len(batch.events) for batch in reader.batches("r")] == sizes
    assert reader.run("r").seq == sum(sizes)
