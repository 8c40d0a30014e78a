"""kill -9 of every service and every server, in the middle of load: nothing lost, nothing doubled, the state of a run without faults.

`PLATFORM_KILLS=50 make test-services ARGS=tests/simulation/test_platform_kills.py` kills each 50 times; CI does so a few times.
"""

import os

import numpy as np
import pytest

from tests.simulation.platform import SERVERS, SERVICES, Servers, Session, check, undisturbed

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
                session.live(generator.uniform(*LIFE_S))
                if session.fleet.members[name].process.poll() is None:
                    session.fleet.kill(name)
                    fired += 1
                session.fleet.start(name)
            session.finish(expected)
        assert fired == KILLS
        check(session, expected, f"{name:10} {fired:4} kills, seed {SEED}")


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
                session.live(generator.uniform(*SERVER_LIFE_S))
                servers.run("kill", server)
                servers.run("start", server)
            session.finish(expected)
        check(session, expected, f"{server:10} {KILLS:4} kills, seed {SEED}")
