"""A network that fails, services that stop for a while, messages of strangers, queues that are full: nothing lost, nothing doubled.

`PLATFORM_FAULTS=50 make test-services ARGS=tests/simulation/test_platform_network.py` does each 50 times; CI does so a few times.
"""

import json
import os
import re
import urllib.request
from collections import Counter
from functools import partial

import numpy as np
import pytest

from openbell.adapters.messages.orders import OrderInstruction, encode_execution, encode_order
from openbell.errors import FencedError, StorageError
from openbell.services.trader.instructions import instructions
from tests.running import until
from tests.simulation.full_queue import FullQueue
from tests.simulation.network import FAULTS, Network
from tests.simulation.platform import PARTITIONS, SERVERS, SERVICES, Session, check, undisturbed
from tests.simulation.slow import Memory, partitions_of, stopped, times_told
from tests.simulation.strangers import TOPICS, Strangers

pytestmark = [pytest.mark.services, pytest.mark.slow]

COUNT = int(os.environ.get("PLATFORM_FAULTS", "2"))
SEED = int(os.environ.get("KILL_SEED", "1"))
#: Seconds without a fault before each, and how long one lasts.
LIFE_S = (0.3, 1.5)
FAULT_S = (0.2, 3.0)
#: How long a process is stopped, and how much (MB) the others may grow meanwhile.
PAUSE_S = (1.0, 5.0)
GROWTH_MB = 64
READERS = ("trader", "processor", "orders", "portfolio")
#: How long a queue stays full.
FULL_S = (0.1, 0.4)
#: Messages in a buffer within a process: as few as they may be without being one.
SMALL = 4
#: About how long (seconds) it takes to start two processes.
START_S = (8.0, 20.0)
#: How long (seconds) anything may take that has to happen.
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def network():
    with Network() as own:
        yield own


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


def speed_for(*spans):
    """Times real time, so that the recording (eleven minutes) lasts about as long as the faults take, each so many seconds."""
    return round(660.0 / (COUNT * sum(sum(span) / 2 for span in spans) + 5.0), 3)


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


@pytest.mark.timeout(240 + 60 * COUNT)
@pytest.mark.parametrize("name", READERS)
def test_a_service_that_stops_for_a_while(network, expected, tmp_path, name):
    """A process is stopped and goes on; the others do not grow. Every other processor wakes only when its partitions are another's."""
    generator = np.random.default_rng([SEED, 300 + READERS.index(name)])
    members = [name, "processor-2"] if name == "processor" else [name]
    with network.servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(LIFE_S, PAUSE_S))
        with session.fleet:
            for member in members[1:]:
                session.fleet.start(name, name=member)
            session.start()
            session.fleet.wait("ingest", lambda health: health.status == "healthy", "healthy", PATIENCE_S)
            session.fleet.wait("trader", lambda health: health.progress["trader"]["events"] > 0, "at work", PATIENCE_S)
            for member in session.fleet.members:
                if member.startswith("processor"):  # the kernel that makes candles is loaded with the first tick
                    session.fleet.wait(member, has_stored, "at work", PATIENCE_S)
            taken_over = 0
            memory = Memory(session)
            for number in range(COUNT):
                memory.live(generator.uniform(*LIFE_S))
                first, *others = generator.permutation(members).tolist()
                for other in others:  # who has nothing would miss nothing
                    until(partial(have_partitions, session, members, 1), PATIENCE_S, f"{first} and {other} to have a share each")
                with stopped(session.fleet.members[first]):
                    memory.live(generator.uniform(*PAUSE_S), without=first)
                    for other in others[: 1 - number % 2]:
                        until(partial(have_partitions, session, others, PARTITIONS), PATIENCE_S, f"{other} to have all")
                        taken_over += 1
            session.finish(expected)
        print(f"memory in MB: {', '.join(f'{member} {grown:+d}' for member, grown in memory.grown.items())}")
        assert max(memory.grown.values()) <= GROWTH_MB, memory.grown
        assert session.restarts.total() == 0, session.restarts
        also = f", {taken_over} until its partitions were another's" if taken_over else ""
        check(session, expected, f"{name:10} {COUNT:4} times stopped{also}")


def has_stored(health):
    """Whether a processor has stored what some ticks came to."""
    return any(place > 0 for name, place in health.progress["processor"].items() if name.startswith("partition"))


def have_partitions(session, members, least):
    """Whether each of some processors has at least so many partitions."""
    return all(len(partitions_of(session, member)) >= least for member in members)


@pytest.mark.timeout(240 + 90 * COUNT)
def test_a_trader_that_wakes_when_another_has_its_journal(network, expected, tmp_path):
    """A second trader is refused; one that is told to take over from a stopped one does, and that one is refused when it wakes: it ends."""
    generator = np.random.default_rng([SEED, 400])
    with network.servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(LIFE_S, START_S))
        fleet = session.fleet
        with fleet:
            session.start()
            for _ in range(COUNT):
                session.live(generator.uniform(*LIFE_S))
                second = fleet.start("trader", name="second")
                del fleet.members["second"]
                assert second.process.wait(PATIENCE_S) == StorageError.exit_code
                assert "is being written by another process" in second.log.read_text().splitlines()[-1]
                first = fleet.members["trader"]
                with stopped(first):
                    fleet.start("trader", "--take-over")
                    begun = fleet.wait("trader", lambda health: health.status == "healthy", "healthy", PATIENCE_S)
                    events = begun.progress["trader"]["events"]
                    fleet.wait("trader", lambda health, n=events: health.progress["trader"]["events"] > n, "at work", PATIENCE_S)
                    refused = times_told(session, "trader", "has taken over")
                assert first.process.wait(PATIENCE_S) == FencedError.exit_code
                assert times_told(session, "trader", "has taken over") > refused
            session.finish(expected)
        assert session.restarts.total() == 0, session.restarts
        check(session, expected, f"{'trader':10} {COUNT:4} times taken over while stopped, {COUNT} second ones refused")


REFUSED = re.compile(r"([\d,]+) (?:messages )?(?:refused|that could not be read)")
#: Who has to count what was sent to a topic: service and the part of it that reads.
READS = {
    "stock-prices": (("trader", "ticks"), ("processor", "processor")),
    "commands": (("portfolio", "follower"),),
    "requests": (("trader", "requests"),),
    "control": tuple((service, "control") for service in SERVICES),
}


def refused(session, service, part):
    """How many messages a part of a service says it could not use."""
    health = session.fleet.health(service)
    found = REFUSED.search(health.checks[part].detail) if health is not None else None
    return int(found.group(1).replace(",", "")) if found else 0


def has_refused(session, service, part, least):
    """Whether a part of a service has refused so many."""
    return refused(session, service, part) >= least


@pytest.mark.timeout(240 + 30 * COUNT)
def test_messages_of_strangers(network, expected, tmp_path):
    """What nobody can use, on every topic: it is counted and passed over, or put aside with the reason, and nothing ends."""
    generator = np.random.default_rng([SEED, 500])
    with network.servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(LIFE_S, LIFE_S))
        with session.fleet:
            session.start()
            session.fleet.wait_healthy("ingest")
            strangers = Strangers(session, expected, generator)
            for number in range(COUNT):
                for topic in TOPICS:
                    session.live(generator.uniform(*LIFE_S) / len(TOPICS))
                    strangers.send(topic, is_huge=number % 10 == 1)
                strangers.contradict()
            counts = {reader: len(strangers.sent[topic]) for topic, readers in READS.items() for reader in readers}
            counts["trader", "ticks"] += strangers.contradictions
            counts["orders", "orders"] = len(strangers.sent["orders"]) + len(strangers.sent["executions"])
            for reader, count in counts.items():
                until(partial(has_refused, session, *reader, count), PATIENCE_S, f"{reader} to have refused {count}")
            found = {reader: refused(session, *reader) for reader in counts}
            session.finish(expected)
        assert found == counts
        assert strangers.put_aside() == {topic: Counter(strangers.sent[topic]) for topic in ("orders", "executions", "requests")}
        assert session.restarts.total() == 0, session.restarts
        check(session, expected, f"{'strangers':10} {COUNT:4} messages to each of {', '.join(TOPICS)}", strangers.all_sent())


def told(expected):
    """What the trader has to tell the orders service, message by message."""
    found = instructions(expected.names, "main-1", 0, expected.commands)
    return [encode_order(item) if isinstance(item, OrderInstruction) else encode_execution(item) for item in found]


def unsent(session):
    """How many commands have left the trader, and how many there are, while some wait; None when none does."""
    health = session.fleet.health("trader")
    counts = (health.progress["trader"]["sent"], health.progress["trader"]["commands"]) if health is not None else (0, 0)
    return counts if counts[0] < counts[1] else None


@pytest.mark.timeout(240 + 30 * COUNT)
def test_a_full_queue_of_orders(network, expected, tmp_path):
    """A queue that takes one message more only when its reader has taken one: the trader waits, also with hardly any buffer of its own."""
    generator = np.random.default_rng([SEED, 600])
    with network.servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(FULL_S), OPENBELL_TRADING__EVENT_BUS_BUFFER=str(SMALL))
        queue, fired = FullQueue(session, "orders", "executions"), 0
        queue.make()
        with session.fleet:
            session.start()
            while fired < COUNT:
                until(lambda: queue.is_full() and unsent(session), PATIENCE_S, "a trader that waits")
                before = unsent(session)
                session.live(generator.uniform(*FULL_S))
                after = unsent(session)
                fired += before is not None and after is not None and before[0] == after[0]
                queue.take()
            with queue.read():
                session.finish(expected)
        assert set(queue.taken) == set(told(expected))
        again = queue.taken.total() - len(queue.taken)
        assert session.restarts.total() == 0, session.restarts
        check(session, expected, f"{'queue':10} {fired:4} times full while the trader had more ({again} orders said again)")


def waiting(session, process, service):
    """Messages that wait for a service within its process."""
    port = session.fleet.members[process].port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/services", timeout=10) as answer:
        return next(view["queue"] for view in json.load(answer)["services"] if view["name"] == service)


@pytest.mark.timeout(240 + 30 * COUNT)
def test_a_feed_that_is_held_back(network, expected, tmp_path):
    """Kafka confirms nothing any more: whoever publishes waits, the buffers within the process fill up, and the feed stops."""
    generator = np.random.default_rng([SEED, 700])
    small = {"OPENBELL_TRADING__EVENT_BUS_BUFFER": str(SMALL)}
    with network.servers.database() as environment:
        session = Session(tmp_path, environment, speed_for(LIFE_S, PAUSE_S), **network.through("kafka"), **small)
        proxy, most = network.proxies["kafka"], 0
        with session.fleet:
            session.start()
            session.fleet.wait("ingest", lambda health: health.progress["publisher"]["published"] > 0, "at work", PATIENCE_S)
            memory = Memory(session)
            for _ in range(COUNT):
                memory.live(generator.uniform(*LIFE_S))
                proxy.stall()
                until(lambda: waiting(session, "ingest", "publisher") >= SMALL, PATIENCE_S, "a full buffer")
                memory.live(generator.uniform(*FULL_S))
                most = max(most, waiting(session, "ingest", "publisher"))
                proxy.resume()
            session.finish(expected)
        assert most == SMALL, "no more than the buffer holds"
        assert memory.grown["ingest"] <= GROWTH_MB, memory.grown
        assert session.restarts.total() == 0, session.restarts
        check(session, expected, f"{'feed':10} {COUNT:4} times held back by full buffers")
