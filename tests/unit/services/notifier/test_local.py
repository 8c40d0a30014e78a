"""The notifier of the platform in one process: it follows the trader from the journal, and costs nothing without a channel."""

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.alerts import AlertStore, Change, Firing, NewAlert
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import Progress
from openbell.config import DatabaseSettings, NotifySettings, Settings, TradingSettings
from openbell.errors import StorageError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.services.names import Names
from openbell.services.notifier.alerts import AlertTable
from openbell.services.notifier.channels import Channels, NewChannel
from openbell.services.notifier.local import LocalNotifier
from openbell.services.stores import sealer_of
from openbell.services.topics.names import COMMANDS, topics
from openbell.services.trader.service import Decided
from tests.sinks import Hook
from tests.unit.services.notifier.scene import MemorySink, Scene
from tests.unit.services.sessions import a_plan


@pytest.fixture
def settings(tmp_path):
    return Settings(
        database=DatabaseSettings(sqlite_path=str(tmp_path / "platform.db")), trading=TradingSettings(data_dir=str(tmp_path)),
        notify=NotifySettings(allow_private=True, storm=1000),
    )  # fmt: skip


@pytest.fixture
def hook():
    with Hook() as server:
        yield server


def make_channel(settings, hook):
    database = open_database(Path(settings.database.sqlite_path))
    Channels(database, lambda: sealer_of(settings), True).create(0, NewChannel("hook", hook.url_of()))
    database.close()


def notifier(settings, bus=None, run="r"):
    bus = bus or made_bus()
    return LocalNotifier(bus, settings, Names(a_plan()), run, list)


def made_bus():
    bus = InProcessBus()
    bus.declare(*topics(50))
    return bus


def fills(count):
    made = np.zeros(count, COMMAND)
    made["kind"], made["side"], made["quantity"], made["price"], made["order_id"] = enums.FILL, 1, 1, 100.0, np.arange(count)
    return made


async def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


async def run_until(service, condition):
    await service.start()
    running = asyncio.create_task(service.run())
    try:
        await until(condition)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.stop()


async def test_nothing_is_opened_without_a_database(settings, tmp_path, hook):
    """Who makes a channel later is noticed."""
    bus = made_bus()
    service = notifier(settings, bus)
    assert not service.follows
    assert list(tmp_path.iterdir()) == []
    await service.start()
    running = asyncio.create_task(service.run())
    assert (service.view().detail, service.progress()) == ("no channels", {"telling": 0})
    await asyncio.to_thread(make_channel, settings, hook)
    await until(lambda: bus.has_subscribers(COMMANDS))
    await bus.send(COMMANDS, Decided(0, fills(2)))
    await until(lambda: len(hook.texts) == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await service.stop()


async def test_killed_before_anything_is_decided(settings, hook):
    """A channel that is there when a run begins hears of all of it, also when the first decisions were not written down."""
    make_channel(settings, hook)
    await notifier(settings).start()  # and is killed
    second = notifier(settings)
    second.catch_up(0, fills(3))
    await run_until(second, lambda: len(hook.texts) == 3)


async def test_what_the_journal_has(settings, hook):
    """The first time nothing of it is told; from then on what was decided after the place that is stored."""
    make_channel(settings, hook)
    first = notifier(settings)
    assert first.follows
    first.catch_up(0, fills(5))
    await run_until(first, lambda: first.progress()["position"] == 5)
    assert hook.texts == []
    second = notifier(settings)
    second.catch_up(0, fills(4))
    second.catch_up(4, fills(4))  # three of these came after
    await run_until(second, lambda: len(hook.texts) == 3)
    third = notifier(settings)
    third.catch_up(0, fills(8))
    await run_until(third, lambda: third.progress()["telling"] == 1)
    assert len(hook.texts) == 3


async def test_another_run_begins_at_its_own_beginning(settings, hook):
    """What is stored of one says nothing of the other."""
    make_channel(settings, hook)
    first = notifier(settings, run="r1")
    first.catch_up(0, fills(5))
    await run_until(first, lambda: first.progress()["position"] == 5)
    bus = made_bus()
    second = notifier(settings, bus, run="r2")
    await second.start()
    running = asyncio.create_task(second.run())
    await bus.send(COMMANDS, Decided(0, fills(1)))
    await until(lambda: len(hook.texts) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await second.stop()


def test_alerts_that_came_are_read_from_their_table(tmp_path):
    """From now on, each once, with its place."""
    with Scene(tmp_path) as scene:
        row = scene.channel(sink=MemorySink())
        store, woken = AlertStore(scene.database), []
        table = AlertTable(store, scene.outbox, lambda: woken.append(1))
        made = store.create(0, NewAlert("AAPL", "above", 150.0, note="sell"), NewAlert("MSFT", "below", 90.0))

        def comes(alert, position):
            firing = Firing(alert.id, 1, alert.revision, scene.now, 151.5, 151.5)
            change = Change(alert.id, alert.revision, "triggered", 1, 1, firing)
            store.record([firing], [change], Progress("alerts t", 0, position).advance(position + 1, state=b"{}"))

        comes(made[0], 0)
        assert (table.look(), table.look()) == (0, 0)
        comes(made[1], 1)
        assert (table.look(), table.look()) == (1, 0)
        [one] = scene.outbox.waiting(row.id, 10)
        assert one.news.id == f"alert {made[1].id} 1"
        assert one.news.fields["what"] == "MSFT is at or below 90, at 151.5"


async def test_an_alert_right_after_the_first_channel(settings, hook):
    """Is told, although nothing has looked for alerts yet; those from before are not."""
    with contextlib.closing(open_database(Path(settings.database.sqlite_path))) as database:
        store = AlertStore(database)

        def comes(number):
            [alert] = store.create(0, NewAlert(f"S{number}", "above", 1.0))
            firing = Firing(alert.id, 1, alert.revision, 1, 2.0, 2.0)
            change = Change(alert.id, alert.revision, "triggered", 1, 1, firing)
            store.record([firing], [change], Progress("alerts t", 0, number).advance(number + 1, state=b"{}"))

        comes(0)
        service = notifier(settings)
        comes(1)  # and nobody is told
        await asyncio.to_thread(AlertTable(store, service._open().outbox, lambda: None).look)
        service.channels.create(0, NewChannel("hook", hook.url_of()))
        comes(2)
        await run_until(service, lambda: hook.texts)
    assert len(hook.texts) == 1
    assert "S2 is at or above 1" in hook.texts[0]


def test_what_sends_is_not_loaded_without_a_channel(tmp_path):
    """Nor what seals addresses: both are loaded by who has one."""
    program = (
        "import sys; from openbell.services.notifier.local import LocalNotifier; import openbell.services.platform, openbell.cli.notify\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'apprise', 'requests', 'cryptography', 'google', 'psycopg'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_key_of_another_machine(settings, hook, tmp_path):
    """A channel that cannot be opened here says so, and waits."""
    make_channel(settings, hook)
    other = Settings(database=settings.database, trading=TradingSettings(data_dir=str(tmp_path / "elsewhere")), notify=settings.notify)
    service = notifier(other)
    row = service.channels.list(0)[0]
    assert isinstance(service._parts._sealer, Sealer)
    with pytest.raises(StorageError, match="is sealed with the key"):
        service.channels.sink(row)
    asyncio.run(service.stop())
