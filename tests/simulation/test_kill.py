"""kill -9 at any moment: the same state, the same decisions, the same order ids; nothing lost, nothing doubled.

`KILLS=500 make test ARGS=tests/simulation` kills more often; `KILL_SEED` chooses another schedule. The oracle reads the publisher's file
and knows nothing of the journal.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from openbell.adapters.stores.base import ENDED
from openbell.adapters.stores.journal import SqliteJournal
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.services.replay.replay import replay
from openbell.services.trader.trader import Trader
from tests.simulation.session import PLAN, frames, received, ticks

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KILLS = int(os.environ.get("KILLS", "24"))
SEED = int(os.environ.get("KILL_SEED", "1"))
#: Ticks a session has for each kill, so that the schedule is spent before the ticks are.
TICKS_PER_KILL = 600


@dataclass
class Undisturbed:
    """What a run that nobody disturbs comes to."""

    state_hash: str
    decision_hash: str
    commands: bytes


def undisturbed(folder, events):
    """Feed everything as one batch."""
    with SqliteJournal(folder / "undisturbed.db") as journal:
        trader = Trader.open(journal, "undisturbed", PLAN, created_ns=1)
        commands = trader.feed(events)
        return Undisturbed(trader.state_hash(), trader.decision_hash(), commands.tobytes())


def start(folder, life=0, point="", number=0):
    """A trader process on the folder's journal."""
    command = [sys.executable, "-m", "tests.simulation.trader_process", str(folder), str(life), *([point, str(number)] if point else [])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def live(folder, generator, life):
    """One life that ends by SIGKILL: in a statement of SQLite's, in a publication, or from outside after some lines. What it printed."""
    kind = abs(life) % 3
    if kind == 0:
        child, lines = start(folder, life, "statement", int(generator.integers(1, 120))), 0
    elif kind == 1:
        child, lines = start(folder, life, "publication", int(generator.integers(1, 6))), 0
    else:
        child, lines = start(folder, life), int(generator.integers(0, 12))
    printed = "".join(child.stdout.readline() for _ in range(lines))
    if kind == 2:
        os.kill(child.pid, signal.SIGKILL)
    rest, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors or "the ticks were spent before the kills were"
    return printed + rest


def order_ids(data):
    """Every order that was submitted, in order."""
    commands = np.frombuffer(data, COMMAND)
    return commands["order_id"][commands["kind"] == enums.SUBMIT].tolist()


@pytest.mark.timeout(60 + 10 * KILLS)
def test_killed_at_random_the_run_ends_as_if_nothing_had_happened(tmp_path):
    """State, decisions, order ids and what was published are those of a run that nobody disturbed."""
    session = ticks()
    events = np.tile(session, 1 + KILLS * TICKS_PER_KILL // len(session))[: KILLS * TICKS_PER_KILL]
    expected = undisturbed(tmp_path, events)
    events.tofile(tmp_path / "events.bin")
    generator = np.random.default_rng(SEED)
    killed = recovering = 0
    for number in range(KILLS):
        killed += 1
        recovering += "ready" not in live(tmp_path, generator, life=number)
    last = start(tmp_path)
    printed, errors = last.communicate()
    assert last.returncode == 0, errors
    state_hash, decision_hash, recoveries = printed.splitlines()[-1].split()[1:]
    assert (state_hash, decision_hash) == (expected.state_hash, expected.decision_hash)
    published, twice = received(tmp_path / "published.bin")
    assert order_ids(published) == order_ids(expected.commands)
    assert published == expected.commands
    with SqliteJournal(tmp_path / "journal.db", writable=False) as journal:
        assert journal.run("kill").status == ENDED
        again = replay(journal, "kill")
        assert (again.identical, again.decision_hash, again.state_hash) == (True, expected.decision_hash, expected.state_hash)
    print(
        f"seed {SEED}: {killed} kills, {recovering} before the start-up was done, {recoveries} recoveries;",
        f"{len(order_ids(published))} orders, {len(published) // COMMAND.itemsize} commands in {len(frames(tmp_path / 'published.bin'))}",
        f"publications, {twice} came again and were dropped",
    )


@pytest.mark.timeout(300)
def test_recovery_may_be_killed_as_often_as_one_likes(tmp_path):
    """A crash in the recovery from a crash, at every statement of it: the next one starts from the same journal."""
    events = ticks(1500)
    expected = undisturbed(tmp_path, events)
    events.tofile(tmp_path / "events.bin")
    assert "batch" in start(tmp_path, 0, "statement", 120).communicate()[0]
    depth = 0
    for statement in range(1, 60, 3):
        child = start(tmp_path, 0, "statement", statement)
        printed, errors = child.communicate()
        assert child.returncode == -signal.SIGKILL, errors
        if "ready" in printed:
            break
        depth += 1
    assert depth >= 5, "the kills fell into the recovery"
    last = start(tmp_path)
    printed, errors = last.communicate()
    assert printed.splitlines()[-1].split()[1:3] == [expected.state_hash, expected.decision_hash], errors
    assert received(tmp_path / "published.bin")[0] == expected.commands
    print(f"recovery killed {depth} times in a row")


@pytest.mark.timeout(300)
def test_a_feed_that_cannot_be_repeated_loses_nothing_that_was_published(tmp_path):
    """Each life sees other prices, as in a live market: what was published stays decided, by the prices that decided it."""
    ticks(8000).tofile(tmp_path / "events.bin")
    generator = np.random.default_rng(SEED)
    for number in range(1, 11):
        live(tmp_path, generator, life=-3 * number)  # each killed in a statement: between deciding, journaling and marking
    printed, errors = start(tmp_path, -1).communicate()
    assert "end" in printed, errors
    published, twice = received(tmp_path / "published.bin")
    with SqliteJournal(tmp_path / "journal.db", writable=False) as journal:
        assert published == b"".join(batch.commands.tobytes() for batch in journal.batches("kill"))
        assert replay(journal, "kill").identical
    print(f"{len(published) // COMMAND.itemsize} commands, {twice} came again and were dropped")


def test_a_second_trader_on_the_same_journal_is_refused(tmp_path):
    """Two processes must not trade one account: the second ends with an error that names the first, and has published nothing."""
    ticks(1500).tofile(tmp_path / "events.bin")
    with SqliteJournal(tmp_path / "journal.db") as journal:
        Trader.open(journal, "kill", PLAN, created_ns=1)
        second = start(tmp_path)
        _, errors = second.communicate()
        assert second.returncode != 0
        assert f"pid {os.getpid()}" in errors.splitlines()[-1]
        assert not (tmp_path / "published.bin").exists() or received(tmp_path / "published.bin") == (b"", 0)
