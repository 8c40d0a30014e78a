"""A channel's worker: what it tells next, and what it makes of each answer of its sink."""

import threading

import pytest

from openbell.adapters.notifiers.base import Outcome, Rate
from openbell.errors import ConfigError, StorageError, UsageError
from openbell.services.notifier.pace import FAILURES_MAX, OPEN_S
from openbell.services.notifier.worker import FAULTS_MAX
from tests.unit.services.notifier.scene import SENT, MemorySink, Scene

FAILED = Outcome("failed", "it cannot be reached")


@pytest.fixture
def scene(tmp_path):
    with Scene(tmp_path, storm=5) as made:
        yield made


def test_what_waits_is_told_once_in_order(scene):
    """With the number that its list shows, and marked."""
    row = scene.channel()
    worker, sink = scene.worker(row), scene.sinks["phone"]
    scene.tell(scene.news(symbol="AAPL", price=1.5), scene.news(symbol="MSFT"))
    assert scene.run(worker) is None
    assert [body.split(" ")[3] + body[-5:] for body in sink.bodies] == ["AAPL (#1)", "MSFT (#2)"]
    assert set(scene.states().values()) == {"sent"}
    assert scene.run(worker) is None
    assert len(sink.tries) == 2
    assert scene.channels.get(0, row.id).status == "ok"


def test_the_critical_overtakes(scene):
    """Whatever waits."""
    worker = scene.worker(scene.channel())
    scene.tell(*(scene.news(symbol=f"S{number}") for number in range(4)), scene.news("kill", "critical", strategy="sma"))
    scene.run(worker)
    assert "Kill switch" in scene.sinks["phone"].bodies[0]
    assert len(scene.sinks["phone"].bodies) == 5


def test_a_storm_is_one_message(scene):
    """What is critical is told by itself first; the digest says how many, of what, since when, and shows some."""
    worker, sink = scene.worker(scene.channel()), scene.sinks["phone"]
    scene.tell(*(scene.news("alert", "warning", what=f"AAPL above {number}") for number in range(300)), scene.news(symbol="X"))
    scene.tell(scene.news("kill", "critical", strategy="sma"))
    scene.run(worker)
    assert len(sink.bodies) == 2
    assert "Kill switch: sma" in sink.bodies[0]
    assert "301 messages: 300 alerts, 1 fill; 2023-11-14 22:13:20 UTC to " in sink.bodies[1]
    assert "- Alert: AAPL above 0" in sink.bodies[1]
    assert "and 296 more" in sink.bodies[1]
    states = list(scene.states().values())
    assert (states.count("digested"), states.count("sent")) == (301, 2)


def test_a_storm_of_the_critical(scene):
    """Is one message too, and that is told in quiet hours."""
    worker, sink = scene.worker(scene.channel(quiet="22:00-07:00")), scene.sinks["phone"]
    scene.tell(*(scene.news("risk", "critical", what=f"w{number}") for number in range(50)), scene.news())
    scene.run(worker)
    assert len(sink.bodies) == 1
    assert "50 messages: 50 risk events" in sink.bodies[0]


def test_quiet_hours(scene):
    """Only the critical is told until they end; then the rest, as one message when it is much."""
    worker, sink = scene.worker(scene.channel(quiet="22:00-07:00", zone="UTC")), scene.sinks["phone"]
    scene.tell(*(scene.news(symbol=f"S{number}") for number in range(8)))
    scene.tell(scene.news("kill", "critical", strategy="sma"))
    wait = scene.run(worker)  # it is 22:13:20
    assert wait == pytest.approx(8.0 * 3600 + 46 * 60 + 40)
    assert len(sink.bodies) == 1
    scene.pass_time(wait - 1.0)
    scene.tell(scene.news(), scene.news("kill", "critical", strategy="rsi"))
    assert scene.run(worker) == pytest.approx(1.0)
    assert len(sink.bodies) == 2
    scene.pass_time(1.0)
    assert scene.run(worker) is None
    assert len(sink.bodies) == 3
    assert "9 messages: 9 fills" in sink.bodies[2]


def test_no_faster_than_the_sink_allows(scene):
    """Of what waits the next one goes when there is room again."""
    row = scene.channel(sink=MemorySink(rates=(Rate(1, 1.0), Rate(3, 60.0))))
    worker, sink = scene.worker(row), scene.sinks["phone"]
    scene.tell(*(scene.news() for _ in range(5)))
    waits = []
    while (wait := scene.run(worker)) is not None:
        waits.append(wait)
        scene.pass_time(wait)
    assert waits == pytest.approx([1.0, 1.0, 58.0, 1.0, 1.0])
    assert len(sink.bodies) == 5


def test_a_sink_without_time(scene):
    """Is left alone for as long as it says; then the same message comes."""
    row = scene.channel(sink=MemorySink(Outcome("later", "429", 17.0), SENT))
    worker, sink = scene.worker(row), scene.sinks["phone"]
    scene.tell(scene.news(), scene.news("kill", "critical"))
    assert scene.run(worker) == pytest.approx(17.0)
    scene.pass_time(16.0)
    assert scene.run(worker) == pytest.approx(1.0)
    assert len(sink.tries) == 1
    scene.pass_time(1.0)
    assert scene.run(worker) is None
    assert sink.tries[0] == sink.tries[1]
    assert len(sink.bodies) == 2
    assert scene.channels.get(0, row.id).failures == 0


def test_a_sink_that_took_one_and_wants_a_pause(scene):
    """The next one waits."""
    worker = scene.worker(scene.channel(sink=MemorySink(Outcome("sent", wait_s=1.25))))
    scene.tell(scene.news(), scene.news())
    assert scene.run(worker) == pytest.approx(1.25)
    assert len(scene.sinks["phone"].bodies) == 1


def test_a_sink_that_is_away_for_a_while(scene):
    """It is tried less and less often, its channel says so, and when it is back everything is told, most of it as one message."""
    row = scene.channel(sink=MemorySink(FAILED))
    worker, sink = scene.worker(row), scene.sinks["phone"]
    scene.tell(scene.news())
    waits = []
    for number in range(8):
        waits.append(scene.run(worker))
        scene.pass_time(waits[-1])
        scene.tell(scene.news(symbol=f"S{number}"))
    assert waits == pytest.approx([2.0, 4.0, 8.0, 16.0, OPEN_S, 2 * OPEN_S, 4 * OPEN_S, 8 * OPEN_S])
    found = scene.channels.get(0, row.id)
    assert (found.status, found.enabled, found.failures, found.error) == ("failing", True, 8, "it cannot be reached")
    sink.answers = [SENT]
    scene.pass_time(3600.0)
    assert scene.run(worker) is None
    assert len(sink.bodies) == 4
    assert "7 messages: 6 fills, 1 channel event" in sink.bodies[0]
    assert "waiting" not in scene.states().values()
    assert (scene.channels.get(0, row.id).status, scene.channels.get(0, row.id).failures) == ("ok", 0)


def test_the_owner_hears_over_the_other_channels(scene):
    """Of one that does not work, once."""
    broken, works = scene.channel(sink=MemorySink(FAILED)), scene.channel("other")
    worker, other = scene.worker(broken), scene.worker(works)
    scene.tell(scene.news())
    for _ in range(FAILURES_MAX + 2):
        scene.pass_time(scene.run(worker))
    scene.run(other)
    assert [body for body in scene.sinks["other"].bodies if "channel phone does not work: it cannot be reached" in body] != []
    assert len(scene.sinks["other"].bodies) == 2


def test_a_sink_that_refuses_us(scene):
    """Its channel is out of use, with the reason; what waits is told when its owner has mended it."""
    row = scene.channel(sink=MemorySink(Outcome("refused", "401: Unauthorized"), SENT))
    worker, other = scene.worker(row), scene.worker(scene.channel("other"))
    scene.tell(scene.news(), scene.news())
    assert scene.run(worker) is None
    found = scene.channels.get(0, row.id)
    assert (found.status, found.enabled, found.error) == ("disabled", False, "401: Unauthorized")
    assert scene.run(worker) is None
    assert len(scene.sinks["phone"].tries) == 1
    scene.run(other)
    assert "401: Unauthorized" in scene.sinks["other"].bodies[-1]
    scene.channels.update(0, row.id, enabled=True)
    scene.reread(worker)
    scene.pass_time(10.0)
    assert scene.run(worker) is None
    assert len(scene.sinks["phone"].bodies) == 2


def test_a_message_that_nobody_wants(scene):
    """Is given up after some attempts; the others are told meanwhile."""
    fault = Outcome("fault", "400: can't parse entities")
    row = scene.channel(sink=MemorySink(fault, SENT, SENT, *[fault] * FAULTS_MAX))
    worker = scene.worker(row)
    scene.tell(*(scene.news() for _ in range(3)))
    while (wait := scene.run(worker)) is not None:
        scene.pass_time(wait)
    states = [(row.state, row.attempts, row.error) for row in scene.log.page()]
    assert states == [("sent", 1, ""), ("sent", 1, ""), ("failed", 3, "400: can't parse entities")]
    assert scene.channels.get(0, row.id).enabled


def test_a_chat_that_moved(scene):
    """The channel has the new address from now on, and the message goes there."""
    row = scene.channel(sink=MemorySink(Outcome("fault", "400: upgraded", moved="tgram://t/-100"), SENT))
    worker = scene.worker(row)
    scene.tell(scene.news())
    assert scene.run(worker) is None
    assert (scene.moves, len(scene.sinks["phone"].bodies), scene.opened) == (["tgram://t/-100"], 1, [row.id, row.id])
    assert scene.channels.get(0, row.id).shown == "moved"


def test_a_sink_that_raises(scene):
    """Has failed, and nothing else has."""
    worker = scene.worker(scene.channel(sink=MemorySink(RuntimeError("canary"), SENT)))
    scene.tell(scene.news())
    assert scene.run(worker) == pytest.approx(2.0)
    assert "canary" not in scene.log.page()[0].error
    scene.pass_time(2.0)
    assert scene.run(worker) is None
    assert len(scene.sinks["phone"].bodies) == 1


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (UsageError("the address says verify=no"), "disabled", None),
        (ConfigError("not installed"), "new", 60.0),
        (StorageError("key"), "new", 60.0),
    ],
)
def test_a_sink_that_cannot_be_opened(scene, error, status, wait):
    """An address that is not allowed any more ends the channel; a key or a library that is missing here is waited for."""
    row = scene.channel(sink=error)
    worker = scene.worker(row)
    scene.tell(scene.news())
    assert scene.run(worker) == wait or status == "disabled"
    found = scene.channels.get(0, row.id)
    assert (found.status, str(error)[:5] in found.error) == (status, True)
    assert scene.states()["n1"] == "waiting"


def test_what_was_sent_while_the_database_is_away(scene):
    """Is marked when it is back, and not sent again."""
    worker = scene.worker(scene.channel())
    scene.tell(scene.news())
    mark = scene.outbox.mark
    away = [True]

    def marking(*values):
        if away[0]:
            raise StorageError("the server is away")
        mark(*values)

    scene.outbox.mark = marking
    with pytest.raises(StorageError):
        worker.step()
    with pytest.raises(StorageError):
        worker.step()
    away[0] = False
    assert scene.run(worker) is None
    assert len(scene.sinks["phone"].tries) == 1
    assert scene.states() == {"n1": "sent"}


def test_another_who_tells(scene):
    """Nothing is sent by who may not."""
    scene.tools = type(scene.tools)(
        scene.channels, scene.outbox, scene.open, scene.move, lambda: scene.now, lambda: scene.at, lambda: False,
    )  # fmt: skip
    worker = scene.worker(scene.channel())
    scene.tell(scene.news())
    assert scene.run(worker) is None
    assert scene.sinks["phone"].tries == []


def test_one_thread_at_a_time(scene):
    """Two that let a worker go on send nothing twice."""
    worker = scene.worker(scene.channel())
    scene.tell(*(scene.news() for _ in range(5)))
    threads = [threading.Thread(target=lambda: [worker.step() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(scene.sinks["phone"].bodies) == len(set(scene.sinks["phone"].bodies)) == 5
