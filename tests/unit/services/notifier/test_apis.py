"""From the outbox to Telegram, Discord and a mail server as they are: at their pace, through floods, until they refuse us."""

import asyncio
import time

import pytest

from openbell.adapters.notifiers.apprise import AppriseSink
from openbell.services.notifier.deliverer import Deliverer
from openbell.services.notifier.worker import Tools
from tests.sinks import Discord, MailServer, Telegram, redirect
from tests.unit.services.notifier.scene import Scene


@pytest.fixture
def scene(tmp_path):
    with Scene(tmp_path) as made:
        made.outbox._clock = time.time_ns
        made.tools = Tools(made.channels, made.outbox, lambda row: made.sinks[row.name], made.move, time.time_ns, time.monotonic)
        yield made


async def deliver(scene, seconds=60.0):
    """Until nothing waits that can be told."""
    deliverer = Deliverer(scene.tools)
    running = asyncio.create_task(deliverer.run())
    deadline = time.monotonic() + seconds
    while scene.outbox.pending():
        assert time.monotonic() < deadline, "it was not told in time"
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_as_fast_as_telegram_allows(scene, monkeypatch):
    """A message a second, so that it never has to say no, also when one was late on its way and the next is not."""
    with Telegram((1, 0.6), (20, 60.0)) as server:
        redirect(monkeypatch, telegram=server)
        scene.channel(sink=AppriseSink(server.url_of(), True))
        scene.tell(*(scene.news(symbol=f"S{number}") for number in range(4)))
        began = time.monotonic()
        await deliver(scene)
        assert time.monotonic() - began >= 3.0
        assert (len(server.texts), server.requests) == (4, 4)
    assert set(scene.states().values()) == {"sent"}


@pytest.mark.parametrize("tells", [True, False])
async def test_a_flood_at_discord(scene, monkeypatch, tells):
    """Stricter than it says: each 429 is waited for, and every message comes once."""
    with Discord((1, 1.5), tells=tells) as server:
        redirect(monkeypatch, discord=server)
        row = scene.channel(sink=AppriseSink(server.url_of(), True))
        scene.tell(*(scene.news(symbol=f"S{number}") for number in range(4)))
        await deliver(scene)
        assert len(server.texts) == len(set(server.texts)) == 4
        assert server.requests <= 8
    assert scene.channels.get(0, row.id).failures == 0


async def test_a_storm_at_telegram_and_discord(scene, monkeypatch):
    """A thousand alerts are two messages, which both of them take."""
    with Telegram((1, 0.95)) as telegram, Discord((5, 1.9)) as discord:
        redirect(monkeypatch, telegram=telegram, discord=discord)
        for name, server in (("telegram", telegram), ("discord", discord)):
            scene.channel(name, sink=AppriseSink(server.url_of(), True))
        scene.tell(*(scene.news("alert", "warning", what=f"@everyone <b>{number} & co") for number in range(1000)))
        await deliver(scene)
        for server in (telegram, discord):
            [text] = server.texts
            assert text.startswith("1,000 messages: 1,000 alerts;")
            assert "<b>0 & co" in text
        assert discord.mentioned == []


async def test_a_webhook_that_is_deleted_while_it_is_used(scene, monkeypatch):
    """One request, and none after it."""
    with Discord() as server:
        redirect(monkeypatch, discord=server)
        row = scene.channel(sink=AppriseSink(server.url_of(), True))
        scene.tell(scene.news(), scene.news())
        server.token = "another"
        await deliver(scene)
        assert server.requests == 1
    found = scene.channels.get(0, row.id)
    assert (found.status, found.error) == ("disabled", "401: Invalid Webhook Token")


async def test_mail(scene):
    """With the event in the subject."""
    with MailServer() as server:
        scene.channel(sink=AppriseSink(server.url_of(), True))
        scene.tell(scene.news("kill", "critical", strategy="sma", state="halted", reason="asked for by a user"))
        await deliver(scene)
        [mail] = server.mails
        assert "Subject: openbell: kill (critical)" in mail
        assert "Kill switch: sma is halted: asked for by a user" in mail
