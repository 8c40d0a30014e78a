"""PostgreSQL killed again and again under those who write to it, and they under it: nothing is there twice, nothing is lost."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import uuid
from dataclasses import asdict, replace

import pytest

from openbell.adapters.stores.database import Address
from openbell.adapters.stores.postgres import PostgresDatabase
from openbell.adapters.stores.postgres_candles import PostgresCandleStore
from openbell.adapters.stores.postgres_journal import PostgresJournal
from openbell.adapters.stores.progress import move, read_progress
from openbell.config import load_settings
from openbell.errors import FencedError, StorageError
from openbell.services.stores import place_of
from tests.contracts.test_candles import series
from tests.contracts.test_journal import PLAN, commands, events, fill
from tests.databases import statement
from tests.running import until
from tests.servers import ROOT

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 12
WRITER_KILLS = 20
PATIENCE_S = 120.0


class OwnServer:
    """A server in a folder and on a port of its own."""

    def __init__(self):
        self.folder = ROOT / "run" / f"test-{uuid.uuid4().hex[:12]}"
        offset = next(offset for offset in range(11_000, 20_000, 10) if _is_free(15432 + offset))
        self._environment = {**os.environ, "OPENBELL_SERVICES_DIR": str(self.folder), "OPENBELL_SERVICES_PORT_OFFSET": str(offset)}

    def run(self, command, *names):
        done = subprocess.run(
            [ROOT / "scripts/services.sh", command, *names], env=self._environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def address(self):
        lines = (line.removeprefix("export ").split("=", 1) for line in self.run("env").splitlines())
        place = place_of(load_settings(environment=dict(lines), folder=ROOT / "tests").database)
        assert isinstance(place, Address)
        return place

    def crash(self):
        """SIGKILL, and a start with what is on the disk."""
        self.run("kill", "postgres")
        self.run("start", "postgres")


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def server():
    own = OwnServer()
    own.run("up", "postgres")
    yield own
    own.run("down", "postgres")
    shutil.rmtree(own.folder, ignore_errors=True)


@pytest.fixture
def address(server):
    found = server.address()
    made = replace(found, name=f"test_{uuid.uuid4().hex}")
    statement(found, f"CREATE DATABASE {made.name}")
    return made


class Working(threading.Thread):
    """Does its work over and over until it is told to stop; `count` is how often it was done."""

    def __init__(self, work):
        super().__init__()
        self._work, self._stopping, self.count, self.failure = work, False, 0, None

    def run(self):
        try:
            while not self._stopping:
                self._work()
                self.count += 1
        except BaseException as error:  # shown by the test
            self.failure = error

    def more(self, times):
        """Wait until the work was done some times more."""
        aim = self.count + times
        until(lambda: self.count >= aim or self.failure, PATIENCE_S, f"{times} times more")
        assert self.failure is None, repr(self.failure)

    def stop(self):
        self._stopping = True
        self.join(PATIENCE_S)
        assert self.failure is None, repr(self.failure)


def test_effects_are_there_once_whenever_the_server_is_killed(server, address):
    """Each message adds its number to a sum, which would show the smallest doubt; what was confirmed is never lost."""
    database = PostgresDatabase(address, patience_s=PATIENCE_S)
    database.run(lambda sql: sql.execute("INSERT INTO users (name, password_hash, role, created) VALUES ('sum', '', '', 0)"))
    stands = database.run(lambda sql: read_progress(sql, "r", 0))
    confirmed = [0]

    def effect():
        nonlocal stands
        step = stands.advance(stands.position + 1)

        def work(sql):
            if move(sql, step):
                sql.execute("UPDATE users SET created = created + ? WHERE name = 'sum'", (step.after.position,))

        database.run(work)
        stands = step.after
        confirmed[0] = stands.position

    working = Working(effect)
    working.start()
    drawn = random.Random(1)
    for _ in range(KILLS):
        working.more(drawn.randint(1, 200))
        at_least = confirmed[0]
        server.crash()
        assert database.run(lambda sql: read_progress(sql, "r", 0)).position >= at_least
    working.more(1)
    working.stop()
    ((total,),) = database.select("SELECT created FROM users")
    assert total == stands.position * (stands.position + 1) // 2
    assert stands.position == working.count
    database.close()


def test_candles_survive_a_server_that_is_killed(server, address):
    """Small writes with progress and bulk loads, side by side: in the end every candle is there."""
    live, bulk = (PostgresCandleStore(PostgresDatabase(address, patience_s=PATIENCE_S)) for _ in range(2))
    stands, loaded = live.progress("r"), 0

    def add():
        nonlocal stands
        step = stands.advance(stands.position + 3)
        live.add(
            [("A", "1s", position * 1000, 1.0, 2.0, 0.5, 1.0, 1.0, None, 1) for position in range(stands.position, step.after.position)],
            step,
        )
        stands = step.after

    def load():
        nonlocal loaded
        bulk.load(series(loaded * 60_000, 20_000, "B"))
        loaded += 20_000

    adding, loading = Working(add), Working(load)
    adding.start()
    loading.start()
    drawn = random.Random(2)
    for _ in range(KILLS // 2):
        adding.more(drawn.randint(1, 100))
        server.crash()
    for working in (adding, loading):
        working.more(1)
        working.stop()
    ((count,),) = statement(address, "SELECT count(*) FROM candles WHERE symbol = 'B'")
    assert count == loaded
    assert [row[2] for row in live.read("A", "1s", 0, 1 << 60, 1 << 30)] == [position * 1000 for position in range(stands.position)]
    assert live.progress("r") == stands
    live.close()
    bulk.close()


def test_a_journal_survives_a_server_that_is_killed(server, address):
    """Batch after batch, every fifth durable: what is there is what was written, without a gap; what was durable is never lost."""
    journal = PostgresJournal(address, patience_s=PATIENCE_S)
    journal.create_run("r", PLAN, "source", 1)
    durable, seq, went_back = [0], 0, 0

    def append():
        nonlocal seq, went_back
        size = seq % 7 + 1
        is_durable = seq % 5 == 0
        try:
            journal.append("r", events(seq + 1, size), f"{seq}".encode(), commands(seq + 1, size % 3), is_durable)
            seq += size
            durable[0] = seq if is_durable else durable[0]
            journal.mark_sent("r", journal._written["r"].mark.commands)
        except FencedError:
            raise
        except StorageError as error:
            if "the server lost what it wrote last" not in str(error):
                raise
            seq = journal.take_up("r", "source").seq
            went_back += 1
        assert seq >= durable[0], "what was confirmed by the disk is there"

    working = Working(append)
    working.start()
    drawn = random.Random(3)
    for _ in range(KILLS):
        working.more(drawn.randint(1, 400))
        server.crash()
    working.more(1)
    working.stop()
    expected = 0
    for batch in journal.batches("r"):
        assert batch.first_seq == expected + 1
        assert batch.events.tobytes() == events(expected + 1, expected % 7 + 1).tobytes()
        assert batch.cursor == f"{expected}".encode()
        expected = batch.last_seq
    run = journal.run("r")
    assert expected == run.seq == seq
    assert run.sent == run.commands
    assert went_back <= KILLS
    assert statement(address, "SELECT epoch FROM marks") == [(1 + went_back,)]
    journal.close()


def test_writers_that_are_killed(address):
    """One after the other takes the run up where the one before was killed; the chain of batches never breaks."""
    code = """
        import json, sys
        from openbell.adapters.stores.database import Address
        from openbell.adapters.stores.postgres_journal import PostgresJournal
        from tests.contracts.test_journal import PLAN, fill
        journal = PostgresJournal(Address(**json.loads(sys.argv[1])))
        if not journal.runs():
            journal.create_run("r", PLAN, "source", 1)
        journal.take_up("r", "source")
        print("writes", flush=True)
        while True:
            fill(journal, [3, 1, 2])
    """
    drawn = random.Random(4)
    seqs = [0]
    for _ in range(WRITER_KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), json.dumps(asdict(address))], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "writes\n"
        aim = seqs[-1] + drawn.randint(1, 60)
        until(lambda aim=aim: statement(address, "SELECT coalesce(max(first_seq), 0) FROM batches")[0][0] >= aim, what="batches")
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        with PostgresJournal(address, writable=False) as reader:
            seqs.append(reader.run("r").seq)
    assert seqs == sorted(seqs)
    with PostgresJournal(address) as journal:
        fill(journal, [5])
        assert sum(len(batch.events) for batch in journal.batches("r")) == journal.run("r").seq == seqs[-1] + 5
        assert journal.run("r").recoveries == WRITER_KILLS - 1
