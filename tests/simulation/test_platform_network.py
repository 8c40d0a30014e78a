"""A network that fails, services that stop for a while, messages of strangers, queues that are full: nothing lost, nothing doubled.

`PLATFORM_FAULTS=50 make test-services ARGS=tests/simulation/test_platform_network.py` does each 50 times; CI does so a few times.
"""

import os
from collections import Counter

import numpy as np
import pytest

from tests.simulation.network import FAULTS, Network
from tests.simulation.platform import SERVERS, Session, check, undisturbed

pytestmark = [pytest.mark.services, pytest.mark.slow]

COUNT = int(os.environ.get("PLATFORM_FAULTS", "2"))
SEED = int(os.environ.get("KILL_SEED", "1"))
#: Seconds without a fault before each, and how long one lasts.
LIFE_S = (0.3, 1.5)
FAULT_S = (0.2, 3.0)


@pytest.fixture(scope="module")
def network():
    with Network() as own:
        yield own


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


def speed_for(*spans):
    """Times real time, so that the recording (eleven minutes) lasts about as long as the faults take, each so many seconds."""
    return max(1.0, 660.0 / (COUNT * sum(sum(span) / 2 for span in spans) + 5.0))


@pytest.mark.timeout(180 + 40 * COUNT)
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_cannot_be_reached_for_a_while(network, expected, tmp_path, server):
    """The way to one server stalls, or in one direction, or is cut, or is slow, and heals."""
    generator = np.random.default_rng([SEED, 200 + SERVERS.index(server)])
    with network.servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(LIFE_S, FAULT_S), **network.through(server))
        met = Counter()
        with session.fleet:
            session.start()
            for _ in range(COUNT):
                session.live(generator.uniform(*LIFE_S))
                fault = FAULTS[generator.integers(len(FAULTS))]
                met[fault] += network.disturb(session, server, fault, generator.uniform(*FAULT_S), generator)
            session.finish(expected)
        assert met.total() == COUNT, met
        told = ", ".join(f"{fault} {met[fault]}" for fault in FAULTS if met[fault])
        check(session, expected, f"{server:10} {COUNT:4} faults of the network ({told})")
