"""The notifier as a whole, within one process: what is decided reaches the sinks, and nothing holds the trader back."""

import asyncio
import contextlib
import resource
import time

import numpy as np
import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.alerts import Alert, encode_alert
from openbell.adapters.notifiers.base import Outcome
from openbell.errors import StorageError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.services.names import Names
from openbell.services.notifier.alert_topic import AlertTopic
from openbell.services.notifier.deliverer import Deliverer
from openbell.services.notifier.intake import Intake
from openbell.services.notifier.lease import LEASE_S, Lease
from openbell.services.notifier.service import NotifierService
from openbell.services.notifier.sources import Decisions, Services
from openbell.services.notifier.trading import TradingNews
from openbell.services.service import Service
from openbell.services.supervisor import Supervisor
from openbell.services.topics.names import ALERTS, COMMANDS, topics
from openbell.services.trader.service import Decided
from openbell.services.views import ServiceView
from tests.unit.services.notifier.scene import SENT, MemorySink, Scene
from tests.unit.services.sessions import a_plan


@pytest.fixture
def scene(tmp_path):
    with Scene(tmp_path, storm=20) as made:
        # The service lives by the clock of the machine.
        made.tools = type(made.tools)(made.channels, made.outbox, made.open, made.move, time.time_ns, time.monotonic)
        made.outbox._clock = time.time_ns
        yield made


class Idle(Service):
    """In the place of the source of market data."""

    name = "feed"


class Running:
    """A notifier over a bus, as the platform in one process wires it."""

    def __init__(self, scene, lease=None, views=list):
        self.bus = InProcessBus()
        self.bus.declare(*topics(50), Topic(ALERTS, Overflow.BLOCK, 50))
        self.intake = Intake()
        self.deliverer = Deliverer(scene.tools)
        traders = {"main": TradingNews(Names(a_plan()))}

        async def sources(known):
            decisions = Decisions(self.bus, self.intake, traders, lambda decided: decided.first + len(decided.commands), "r")
            decisions.listen()
            return [decisions, Services(self.intake, views)]

        alerts = AlertTopic(self.bus, ALERTS, scene.outbox, self.deliverer.wake)
        self.service = NotifierService(
            scene.channels, scene.outbox, self.deliverer, self.intake, "notifier r", sources, always=[alerts], lease=lease
        )
        self.supervisor = Supervisor(self.bus, [self.service, Idle()])

    async def __aenter__(self):
        await self.supervisor.start()
        return self

    async def __aexit__(self, *_):
        await self.supervisor.stop()


async def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


def fills(count, first=0):
    made = np.zeros(count, COMMAND)
    made["kind"], made["side"], made["quantity"], made["price"], made["status"] = enums.FILL, 1, 1, 100.0, enums.FILLED
    made["order_id"] = np.arange(first, first + count)
    return Decided(first, made)


def killed(first):
    made = np.zeros(1, COMMAND)
    made["kind"], made["status"], made["reason"] = enums.STATE, enums.HALTED, enums.KILLED
    return Decided(first, made)


def counted(bodies):
    """How many alerts are told of, singly or in digests."""
    return sum(int(body.split()[0].replace(",", "")) if "messages" in body else 1 for body in bodies)


async def test_from_the_decision_to_the_sink(scene):
    """And how far the decisions were taken is stored with it."""
    sink = MemorySink()
    scene.channel(sink=sink)
    async with Running(scene) as running:
        await running.bus.send(COMMANDS, fills(3))
        await running.bus.send(COMMANDS, killed(3))
        await until(lambda: len(sink.bodies) == 4)
        assert sum("Kill switch: cross is halted" in body for body in sink.bodies) == 1
        assert scene.outbox.progress("notifier r").position == 4
        await until(lambda: set(scene.states().values()) == {"sent"})


async def test_without_a_channel_nothing_is_read(scene):
    """Until there is one; what happened before is not told."""
    async with Running(scene) as running:
        await asyncio.sleep(0)
        assert not running.bus.has_subscribers(COMMANDS)
        for number in range(200):
            await running.bus.send(COMMANDS, fills(1, number))
        sink = MemorySink()
        scene.channel(sink=sink)
        running.service.note_change()
        await until(lambda: running.bus.has_subscribers(COMMANDS))
        await running.bus.send(COMMANDS, killed(200))
        await until(lambda: sink.bodies)
        assert len(sink.bodies) == 1
        assert scene.outbox.progress("notifier r").state
        scene.channels.update(0, 1, enabled=False)
        await until(lambda: not running.bus.has_subscribers(COMMANDS))
        await until(lambda: not scene.outbox.progress("notifier r").state)  # what happens now is not told either


async def test_a_storm_of_ten_thousand(scene):
    """Is a digest, or a few; the critical one in it is told by itself and first; each is in the list, and memory stays where it was."""
    sink = MemorySink()
    row = scene.channel(sink=sink)
    async with Running(scene) as running:
        await running.bus.send(COMMANDS, fills(1))
        await until(lambda: len(sink.bodies) == 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        running.intake.put([scene.news("alert", "warning", what=f"AAPL above {number}") for number in range(9_999)])
        running.intake.put([scene.news("kill", "critical", strategy="sma", state="halted")])
        await until(lambda: any("Kill" in body for body in sink.bodies))
        await until(lambda: counted(sink.bodies[2:]) == 9_999)
        await until(lambda: scene.log.counts().keys() == {"sent", "digested"})
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert "Kill switch: sma" in sink.bodies[1]
    assert len(sink.bodies) < 10
    counts = scene.log.counts()
    assert counts["sent"] == len(sink.bodies)
    assert 0 <= counts["digested"] - 9_999 < 10  # a digest that still waits is part of the next one
    assert scene.channels.get(0, row.id).status == "ok"
    assert grown < 60_000, f"{grown} KiB"


async def test_a_sink_that_hangs_holds_nobody_back(scene):
    """Neither who decides, nor another channel."""
    import threading

    release = threading.Event()

    class Hanging(MemorySink):
        def send(self, letter):
            self.tries.append(letter.body)
            release.wait(20.0)
            return Outcome("failed", "it hangs")

        def abort(self):
            release.set()

    hanging, quick = Hanging(), MemorySink()
    scene.channel(sink=hanging)
    scene.channel("quick", sink=quick)
    async with Running(scene) as running:
        await running.bus.send(COMMANDS, fills(1))
        await until(lambda: hanging.tries and quick.bodies)
        began = time.monotonic()
        for number in range(1, 500):
            await running.bus.send(COMMANDS, fills(1, number))
        assert time.monotonic() - began < 5.0
        await until(lambda: any("messages" in body for body in quick.bodies) or len(quick.bodies) > 20)
        assert len(hanging.tries) == 1
    assert release.is_set()


async def test_the_database_away_for_a_while(scene):
    """What happens meanwhile is written down when it is back, and the trader does not wait."""
    sink = MemorySink()
    scene.channel(sink=sink)
    tell, away = scene.outbox.tell, [True]

    def telling(*values):
        if away[0]:
            raise StorageError("the server is away")
        return tell(*values)

    scene.outbox.tell = telling
    async with Running(scene) as running:
        for number in range(300):
            await running.bus.send(COMMANDS, fills(1, number))
        await until(lambda: "away" in running.service.view().detail)
        away[0] = False
        await until(lambda: any("300 messages: 300 fills" in body for body in sink.bodies))
    assert running.service.view().failure == ""


async def test_alerts_of_the_bus(scene):
    """Told once, however often they are said; what cannot be read is left out."""
    sink = MemorySink()
    scene.channel(sink=sink)
    alert = Alert(
        id="7", symbol="AAPL", condition="above", target_price=150.0, status="triggered", note="sell {half}\n", ts_created=1,
        ts_triggered=1_700_000_000_000_000_000, triggered_price=150.25,
    )  # fmt: skip
    async with Running(scene) as running:
        await until(lambda: running.bus.has_subscribers(ALERTS))
        for payload in (encode_alert(alert), b"\xff\xff", encode_alert(alert)):
            await running.bus.send(ALERTS, payload)
        await until(lambda: sink.bodies)
        await running.bus.send(ALERTS, encode_alert(alert))
        await until(lambda: running.bus.count(ALERTS).published == 4)
    assert sink.bodies == ["Alert: AAPL is at or above 150, at 150.25: sell {half}, 2023-11-14 22:13:20 UTC (#1)"]


def test_a_service_that_fails_and_is_back():
    """Each is told once."""
    views = [ServiceView("feed", "running", "", 0, None, 0)]
    services = Services(Intake(), lambda: views)
    assert services.look(1) == []
    views[0] = ServiceView("feed", "failed", "", 0, None, 0, "nothing heard of it for 6 s")
    [news] = services.look(2)
    assert (news.event, news.severity, news.fields["reason"]) == ("disconnect", "critical", "nothing heard of it for 6 s")
    assert services.look(3) == []
    views[0] = ServiceView("feed", "running", "", 0, None, 0)
    [news] = services.look(4)
    assert (news.severity, news.fields["state"]) == ("info", "is back")


async def test_what_is_decided_last(scene):
    """As the platform stops: it is written down, and told by the next one."""
    blocked = MemorySink(Outcome("later", "429", 1000.0))
    scene.channel(sink=blocked)
    running = Running(scene)
    await running.supervisor.start()
    await running.bus.send(COMMANDS, fills(1))
    await until(lambda: blocked.tries)
    for number in range(1, 10):
        await running.bus.send(COMMANDS, fills(1, number))
    await running.supervisor.stop()
    assert len(scene.states()) == 10
    assert scene.outbox.progress("notifier r").position == 10
    scene.sinks["phone"] = MemorySink()
    async with Running(scene):
        await until(lambda: scene.log.counts().get("sent", 0) > 8)


async def test_one_of_several_processes_tells(scene):
    """The one with the lease; when it is gone, another takes over, and what was told is not told again."""
    sink = MemorySink()
    scene.channel(sink=sink)
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(Running(scene, Lease(scene.database)))
        await until(lambda: first.bus.has_subscribers(COMMANDS))
        second = await stack.enter_async_context(Running(scene, Lease(scene.database)))
        for running in (first, second):
            await running.bus.send(COMMANDS, fills(2))
        await until(lambda: scene.log.counts() == {"sent": 2})
        assert not second.bus.has_subscribers(COMMANDS)
        await first.supervisor.stop()
        await until(lambda: second.bus.has_subscribers(COMMANDS))
        await second.bus.send(COMMANDS, fills(3))
        await until(lambda: scene.log.counts() == {"sent": 3})
    assert len(sink.bodies) == 3


def test_a_lease_ends_by_itself(scene):
    """Whoever does not renew it has it no longer."""
    first, second = Lease(scene.database), Lease(scene.database)
    now = 1_000_000_000_000
    assert first.take(now)
    assert not second.take(now + 1)
    assert first.take(now + 2)
    later = now + int((LEASE_S + 1) * 1e9)
    assert second.take(later)
    assert not first.take(later + 1)
    second.release(later + 2)
    assert first.take(later + 3)


async def test_sinks_that_answer_at_once(scene):
    """A thousand messages to four channels: each is sent once."""
    sinks = [MemorySink(SENT) for _ in range(4)]
    for number, sink in enumerate(sinks):
        scene.channel(f"c{number}", sink=sink)
    scene.tools = type(scene.tools)(
        scene.channels, scene.outbox, scene.open, scene.move, time.time_ns, time.monotonic, storm=10_000
    )  # fmt: skip
    scene.tell(*(scene.news() for _ in range(250)))
    async with Running(scene):
        await until(lambda: scene.log.counts() == {"sent": 1000}, 60.0)
    assert all(len(sink.bodies) == len(set(sink.bodies)) == 250 for sink in sinks)
