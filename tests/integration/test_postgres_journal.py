"""The journal in PostgreSQL when things go wrong around it: another writer, a writer that was only paused, connections that break."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import asdict, replace

import pytest

from openbell.adapters.stores.base import RECOVERED, Checkpoint
from openbell.adapters.stores.postgres import connect
from openbell.adapters.stores.postgres_journal import PostgresJournal
from openbell.errors import FencedError, JournalError, StorageError, UsageError
from tests.contracts.test_journal import PLAN, commands, content, events, fill
from tests.databases import empty_database, statement
from tests.running import until
from tests.simulation.proxy import Proxy

pytestmark = pytest.mark.services


@pytest.fixture
def address():
    """An empty database."""
    with empty_database() as made:
        yield made


@pytest.fixture
def proxy(address):
    """A way to the database that can be cut."""
    with Proxy(address.host, address.port) as made:
        yield made


def through(proxy, address):
    return replace(address, host=proxy.host, port=proxy.port)


def marks(address):
    return statement(address, "SELECT epoch, writer FROM marks")[0]


def break_connections(address):
    """As when the server is restarted: what was open is gone."""
    statement(address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'openbell journal%%'")


def test_a_writer_that_was_paused_is_refused(address):
    """It is stopped in the middle of its work, a standby takes over, and it is let go on: not a byte of it arrives."""
    code = """
        import json, sys
        from openbell.adapters.stores.database import Address
        from openbell.adapters.stores.postgres_journal import PostgresJournal
        from openbell.errors import FencedError
        from tests.contracts.test_journal import PLAN, fill
        journal = PostgresJournal(Address(**json.loads(sys.argv[1])))
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [2])
        print("writes", flush=True)
        try:
            while True:
                fill(journal, [1])
        except FencedError as error:
            print(error, flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), json.dumps(asdict(address))], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "writes\n"
    until(lambda: statement(address, "SELECT count(*) > 20 FROM batches")[0][0], what="some batches")
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(
        StorageError, match=rf"the journal is being written by another process \(pid {child.pid} on .*\); expected one writer"
    ):
        PostgresJournal(address)
    with PostgresJournal(address, take_over=True) as standby:
        taken = standby.take_up("r", "source")
        assert (taken.status, taken.recoveries) == (RECOVERED, 1)
        fill(standby, [7, 3])
        os.kill(child.pid, signal.SIGCONT)
        said, _ = child.communicate(timeout=30)
        assert f"another process (pid {os.getpid()} on " in said
        assert "has taken over" in said
        fill(standby, [1])
        assert standby.run("r").seq == taken.seq + 11
        assert [len(batch.events) for batch in standby.batches("r", taken.seq)] == [7, 3, 1]


def test_an_older_epoch_writes_nothing_whatever_it_writes(address):
    """Even when no lock kept the two apart: a batch, a mark, a checkpoint, an end."""
    with PostgresJournal(address, name="a") as old, PostgresJournal(address, name="b") as new:
        old.create_run("r", PLAN, "source", 1)
        fill(old, [2, 2])
        new.take_up("r", "source")
        assert marks(address)[0] == 2
        writes = (
            lambda: old.append("r", events(5, 1), b"", commands(5, 0)),
            lambda: old.append("r", events(5, 1), b"", commands(5, 0), durable=True),
            lambda: old.mark_sent("r", 3),
            lambda: old.save_checkpoint("r", Checkpoint(4, 4, "source", b"state")),
            lambda: old.end_run("r"),
        )
        for write in writes:
            with pytest.raises(FencedError, match=rf"run r: another process \(pid {os.getpid()} on .*\) has taken over"):
                write()
        fill(new, [3])
        assert [len(batch.events) for batch in new.batches("r")] == [2, 2, 3]
        assert (new.run("r").sent, new.run("r").status, list(new.checkpoints("r"))) == (0, RECOVERED, [])


def test_names_have_a_writer_each(address):
    """Two traders with runs of their own in one database."""
    with PostgresJournal(address, name="a") as first, PostgresJournal(address, name="b") as second:
        first.create_run("a-1", PLAN, "source", 1)
        second.create_run("b-1", PLAN, "source", 1)
        fill(first, [2], "a-1")
        fill(second, [3], "b-1")
        assert {run.id: run.seq for run in first.runs()} == {"a-1": 2, "b-1": 3}
        with pytest.raises(StorageError, match=r"the journal a is being written by another process"):
            PostgresJournal(address, name="a")


def test_a_broken_connection_is_made_anew(address):
    """The run goes on with the same epoch: nobody has taken over."""
    with PostgresJournal(address) as journal:
        journal.create_run("r", PLAN, "source", 1)
        reader = PostgresJournal(address, writable=False)
        for number in range(1, 8):
            break_connections(address)
            if number % 2:
                fill(journal, [number])
            journal.append("r", events(journal.run("r").seq + 1, 1), b"c", commands(1, 1), durable=number % 3 == 0)
            break_connections(address)
            journal.mark_sent("r", number)
            break_connections(address)
            run = reader.run("r")
            journal.save_checkpoint("r", Checkpoint(run.seq, run.commands, "source", b"x"))
        assert len(content(reader)) == 4 + 7
        assert reader.run("r").sent == 7
        assert len(list(reader.checkpoints("r"))) == 3
        reader.close()
    assert marks(address)[0] == 1


@pytest.mark.parametrize("durable", [False, True])
def test_a_batch_whose_answer_never_came_is_there_once(address, proxy, durable):
    """The server committed it, and the connection broke before it could say so."""
    with PostgresJournal(through(proxy, address)) as journal:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [2])
        proxy.stall("answers" if not durable else "everything")
        writing = threading.Thread(target=journal.append, args=("r", events(3, 4), b"here", commands(3, 2), durable))
        writing.start()
        if not durable:
            until(lambda: statement(address, "SELECT count(*) FROM batches")[0][0] == 2, what="the commit")
        proxy.cut()
        proxy.resume()
        writing.join(30)
        assert not writing.is_alive()
        fill(journal, [1])
        assert [(batch.first_seq, len(batch.events)) for batch in journal.batches("r")] == [(1, 2), (3, 4), (7, 1)]
        assert journal.cursor("r") == b"cursor 7"


def test_a_mark_whose_answer_never_came(address, proxy):
    """It is found to be there."""
    with PostgresJournal(through(proxy, address)) as journal:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [2, 2])
        before = statement(address, "SELECT mark FROM marks")
        proxy.stall("answers")
        marking = threading.Thread(target=journal.mark_sent, args=("r", 3))
        marking.start()
        until(lambda: statement(address, "SELECT mark FROM marks") != before, what="the commit")
        proxy.cut()
        proxy.resume()
        marking.join(30)
        assert journal.run("r").sent == 3


def test_a_writer_that_was_cut_off_meets_its_successor(address, proxy):
    """Its connection is half open, the other one has taken over, and it finds out when it writes."""
    with PostgresJournal(through(proxy, address)) as old:
        old.create_run("r", PLAN, "source", 1)
        fill(old, [2])
        proxy.stall()
        with PostgresJournal(address, take_over=True) as new:
            new.take_up("r", "source")
            fill(new, [3])
            proxy.cut()
            proxy.resume()
            with pytest.raises(FencedError, match=r"another process \(pid .*\) has taken over"):
                fill_from(old, 3)
        with pytest.raises(FencedError, match=r"another process \(pid .*\) has taken over"):
            fill_from(old, 3)
        with PostgresJournal(address, writable=False) as reader:
            assert [len(batch.events) for batch in reader.batches("r")] == [2, 3]


def fill_from(journal, seq):
    journal.append("r", events(seq, 1), b"", commands(seq, 0))


def holders(address):
    """The connections that hold a lock of ours in this database."""
    database = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    return statement(address, f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = {database}")


def test_what_a_broken_connection_left_behind_is_ended(address, proxy):
    """The server goes on with a statement whose client is gone, and holds the lock for it: the writer ends that by itself."""
    with PostgresJournal(through(proxy, address)) as journal, connect(address) as other:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [2])
        other.execute("BEGIN")
        other.execute("SELECT * FROM marks FOR UPDATE")
        writing = threading.Thread(target=fill_from, args=(journal, 3))
        writing.start()
        waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        until(lambda: statement(address, waiting)[0][0], what="a statement that waits")
        before = holders(address)
        proxy.cut()
        proxy.resume()
        until(
            lambda: statement(address, "SELECT pid FROM pg_locks WHERE locktype = 'advisory'") not in ([], [(before,)]), what="a new lock"
        )
        other.execute("COMMIT")
        writing.join(30)
        assert [len(batch.events) for batch in journal.batches("r")] == [2, 1]


def test_a_server_that_stays_away(address, proxy):
    """After the time of patience the error says where it should be; when it is back, the run is taken up again and goes on."""
    journal = PostgresJournal(through(proxy, address), patience_s=0.2)
    journal.create_run("r", PLAN, "source", 1)
    fill(journal, [2])
    proxy.cut()
    with pytest.raises(StorageError, match=r"does not answer .*; expected a PostgreSQL server"):
        fill_from(journal, 3)
    proxy.resume()
    journal.take_up("r", "source")
    fill(journal, [3])
    assert [len(batch.events) for batch in journal.batches("r")] == [2, 3]
    journal.close()


def test_a_database_that_went_back_is_noticed(address):
    """What was confirmed is gone, as after the server lost power: nothing is written until the run is taken up where it stands."""
    with PostgresJournal(address) as journal:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [2])
        ((before,),) = statement(address, "SELECT mark FROM marks")
        fill(journal, [3])
        statement(address, "UPDATE marks SET mark = %s", before)
        statement(address, "DELETE FROM batches WHERE first_seq = 3")
        for write in (lambda: fill_from(journal, 6), lambda: journal.mark_sent("r", 1)):
            with pytest.raises(StorageError, match="the server lost what it wrote last") as failure:
                write()
            assert not isinstance(failure.value, FencedError)
        assert journal.take_up("r", "source").seq == 2
        fill(journal, [4])
        assert [len(batch.events) for batch in journal.batches("r")] == [2, 4]


def test_a_run_that_another_just_began(address):
    """The name is taken, whoever was first."""
    with PostgresJournal(address, name="a") as first, PostgresJournal(address, name="b") as second:
        first.create_run("r", PLAN, "source", 1)
        with pytest.raises(UsageError, match="there is a run r already"):
            second.create_run("r", PLAN, "source", 2)


def test_a_closed_journal_says_so(address):
    """It does not connect again."""
    journal = PostgresJournal(address)
    journal.close()
    with pytest.raises(StorageError, match="closed"):
        journal.runs()
    PostgresJournal(address).close()


def test_rows_are_as_small_as_they_can_be(address):
    """Events are stored as they are: no compression, which would take longer than the writing."""
    with PostgresJournal(address) as journal:
        journal.create_run("r", PLAN, "source", 1)
        fill(journal, [30_000])
    ((size,),) = statement(address, "SELECT pg_column_size(events) FROM batches")
    assert size == 30_000 * 96
    with pytest.raises(JournalError, match="would leave a gap"), PostgresJournal(address) as journal:
        fill_from(journal, 7)
