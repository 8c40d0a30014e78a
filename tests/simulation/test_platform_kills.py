"""kill -9 of every service and every server, in the middle of load: nothing lost, nothing doubled, the state of a run without faults.

`PLATFORM_KILLS=50 make test-services ARGS=tests/simulation/test_platform_kills.py` kills each 50 times; CI does so a few times.
"""

import os
import time

import numpy as np
import pytest

from openbell.services.processes.process import open_journal
from openbell.services.replay import replay
from tests.simulation.platform import SERVERS, SERVICES, Servers, Session, differences, undisturbed

pytestmark = [pytest.mark.services, pytest.mark.slow]

KILLS = int(os.environ.get("PLATFORM_KILLS", "2"))
SEED = int(os.environ.get("KILL_SEED", "1"))
#: Seconds of life between two kills, from and to. Two in three services are killed at work, so long after they were healthy; the others
#: so long after they were started.
LIFE_S = (0.05, 1.5)
SERVER_LIFE_S = (1.0, 4.0)
#: About how long (seconds) a service or a server takes to be there again.
START_S = 3.0


@pytest.fixture(scope="module")
def servers():
    with Servers() as own:
        yield own


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


def speed_for(kills, life):
    """Times real time, so that the recording (eleven minutes) lasts about as long as the kills take."""
    seconds = kills * (sum(life) / 2 + START_S) + 5.0
    return max(1.0, 660.0 / seconds)


def check(session, expected, what, fired):
    """Compare with the run that nobody disturbed, and print a line of the table."""
    wrong, counts = differences(expected, session)
    with open_journal(session.settings(), "main", writable=False) as journal:
        again = replay(journal, "main-1")
        recoveries = journal.run("main-1").recoveries
    if not again.identical:
        wrong.append("the journal does not replay to itself")
    if (again.decision_hash, again.state_hash) != (expected.decision_hash, expected.state_hash):
        wrong.append("another decision hash or state hash")
    print(
        f"{what:10} {fired:4} kills, {sum(session.restarts.values())} started again by themselves, {recoveries} recoveries of the trader; "
        f"{counts['ticks']:,} ticks ({counts['ticks_again']:,} said again), {counts['commands_again']:,} commands said again, "
        f"{counts['candles']:,} candles; lost 0, doubled 0, hashes equal"
        if not wrong
        else f"{what}: {'; '.join(wrong)}"
    )
    assert wrong == [], f"{what}, seed {SEED}: {'; '.join(wrong)}"


@pytest.mark.timeout(120 + 30 * KILLS)
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_killed_at_random(servers, expected, tmp_path, name):
    """Each kill is followed by a start at once; in the end everything is as if nothing had happened."""
    generator = np.random.default_rng([SEED, SERVICES.index(name)])
    with servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(KILLS, LIFE_S))
        with session.fleet:
            session.start()
            fired = 0
            for _ in range(KILLS):
                if generator.random() < 2 / 3:
                    session.fleet.wait_healthy(name)
                wait_alive(session, generator.uniform(*LIFE_S))
                if session.fleet.members[name].process.poll() is None:
                    session.fleet.kill(name)
                    fired += 1
                session.fleet.start(name)
            session.finish(len(expected.ticks))
        assert fired == KILLS
        check(session, expected, name, fired)


@pytest.mark.timeout(120 + 60 * KILLS)
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_killed_at_random(servers, expected, tmp_path, server):
    """A server is killed and started again while everybody uses it; services that end because of it are started again."""
    generator = np.random.default_rng([SEED, 100 + SERVERS.index(server)])
    with servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(KILLS, SERVER_LIFE_S))
        with session.fleet:
            session.start()
            for _ in range(KILLS):
                wait_alive(session, generator.uniform(*SERVER_LIFE_S))
                servers.run("kill", server)
                servers.run("start", server)
            session.finish(len(expected.ticks))
        check(session, expected, server, KILLS)


def wait_alive(session, seconds):
    """Let some time pass in which whatever ends by itself is started again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        session.keep_alive()
        time.sleep(0.02)
