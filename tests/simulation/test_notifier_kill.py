"""kill -9 of a notifier: between a message that the sink has and its mark, and anywhere else. Told at least once, and once in the list."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from openbell.adapters.stores.delivery_log import DeliveryLog
from openbell.services.notifier.channels import NewChannel
from tests.simulation.notifier_process import assembly
from tests.sinks import Hook

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KILLS = int(os.environ.get("KILLS", "8"))
SEED = int(os.environ.get("KILL_SEED", "1"))


@pytest.fixture
def hook():
    with Hook() as server:
        yield server


def start(folder, count):
    """A notifier on the folder's database; it has loaded what sends when this returns."""
    command = [sys.executable, "-m", "tests.simulation.notifier_process", str(folder), str(count)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def finish(folder, count):
    """Let one go on to the end."""
    child = start(folder, count)
    assert child.wait(120) == 0
    with contextlib.closing(assembly(folder).database) as database:
        return DeliveryLog(database).page(limit=1000)


def numbers(hook):
    """How often each message came, by its number."""
    found = [int(re.search(r"\(#(\d+)\)$", text)[1]) for text in hook.texts]
    return {number: found.count(number) for number in set(found)}


def make_channel(folder, hook):
    parts = assembly(folder)
    parts.channels.create(0, NewChannel("hook", hook.url_of()))
    parts.database.close()


@pytest.mark.parametrize("answers", [False, True])
def test_killed_when_the_sink_has_it(tmp_path, hook, answers):
    """Before its answer, or just after: each such message comes once more with its number, and no other does."""
    make_channel(tmp_path, hook)
    count, killed = 12, []
    child = [None]

    def die():
        """The message has come; it is kept after this."""
        if len(killed) < 3 and len(hook.texts) == 2 + 3 * len(killed):
            killed.append(1)
            if answers:
                threading.Timer(0.0, lambda: child[0].send_signal(signal.SIGKILL)).start()
            else:
                child[0].send_signal(signal.SIGKILL)
                child[0].wait(10)

    hook.answer = die
    for _ in range(3):
        child[0] = start(tmp_path, count)
        assert child[0].wait(60) == -signal.SIGKILL
    rows = finish(tmp_path, count)
    assert {row.id for row in rows} == {f"n{number}" for number in range(count)}
    assert [row.state for row in rows] == ["sent"] * count
    told = numbers(hook)
    assert set(told) == {row.number for row in rows}
    assert sum(told.values()) <= count + 3
    assert max(told.values()) <= 2


def test_killed_at_any_moment(tmp_path, hook):
    """In a storm as well: what was written down is told by itself or in a digest that is told."""
    make_channel(tmp_path, hook)
    generator, count = np.random.default_rng(SEED), 400
    for _ in range(KILLS):
        child = start(tmp_path, count)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(float(generator.uniform(0.0, 0.8)))
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    rows = {row.number: row for row in finish(tmp_path, count)}
    things = [row for row in rows.values() if row.event == "fill"]
    assert {row.id for row in things} == {f"n{number}" for number in range(count)}
    told = numbers(hook)
    for row in things:
        at = row
        while at.state == "digested":
            at = rows[at.digest]
        assert at.state == "sent"
        assert at.number in told
    last = [row for row in rows.values() if row.event == "digest" and row.state == "sent"]
    assert sum(row.fields["count"] for row in last) + sum(row.state == "sent" for row in things) == count
    assert sum(told.values()) - len(told) <= KILLS
