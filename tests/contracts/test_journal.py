"""The contract of `openbell.adapters.stores.base.Journal`, held to every implementation. A new one is added to `JOURNALS`."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from openbell.adapters.stores.base import CHECKPOINTS_KEPT, ENDED, OPEN, RECOVERED, Checkpoint
from openbell.adapters.stores.journal import SqliteJournal
from openbell.errors import JournalError, StorageError, UnknownNameError, UsageError
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT

#: name -> how to open the journal at a place, as its writer or as a reader.
JOURNALS = {"sqlite": lambda place, writable: SqliteJournal(place / "journal.db", writable)}
PLAN = {"listings": [{"symbol": "A"}], "fee": 0.1}


@pytest.fixture(params=JOURNALS)
def opening(request, tmp_path):
    """Opens the journal of this test again and again; closes what is left open."""
    opened = []

    def open_journal(writable=True):
        opened.append(JOURNALS[request.param](tmp_path, writable))
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


def test_a_writer_that_is_killed_lets_go(tmp_path, opening):
    """The lock belongs to the process, not to a file that somebody has to remove."""
    code = """
        import sys
        from pathlib import Path
        from tests.contracts.test_journal import JOURNALS, PLAN, fill
        journal = JOURNALS["sqlite"](Path(sys.argv[1]), True)
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [3, 4])
        print("ready", flush=True)
        sys.stdin.read()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
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
