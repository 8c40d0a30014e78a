"""Channels for whoever asks on behalf of a user: checked, sealed, tried, and nobody else's."""

import msgspec
import pytest

from openbell.adapters.notifiers.apprise import AppriseSink
from openbell.adapters.notifiers.base import open_sink
from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.channels import context_of
from openbell.adapters.stores.database import open_database
from openbell.errors import ConfigError, StorageError, UnknownNameError, UsageError
from openbell.services.notifier.channels import ChannelChanges, Channels, NewChannel
from tests.sinks import TOKEN, Hook, Telegram, redirect

SECRET = TOKEN.split(":")[1]


@pytest.fixture
def database(tmp_path):
    opened = open_database(tmp_path / "platform.db")
    opened.run(lambda sql: sql.execute("INSERT INTO users (id, name, password_hash, role, created) VALUES (7, 'ann', '', 'trader', 1)"))
    yield opened
    opened.close()


@pytest.fixture
def told():
    return []


@pytest.fixture
def channels(database, told):
    sealer = Sealer(b"k" * 32)
    return Channels(database, lambda: sealer, allow_private=True, changed=lambda: told.append(1))


def telegram(**changes):
    return NewChannel(**{"name": "phone", "url": f"tgram://{TOKEN}/-100", **changes})


def test_the_address_goes_in_and_never_comes_out(channels, database, tmp_path):
    """It is sealed in the database, and in no text of a row."""
    row = channels.create(7, telegram(events=("fill", "fill", "kill")))
    assert (row.kind, row.shown, row.events) == ("telegram", "tgram://1...2/-100", ("fill", "kill"))
    assert SECRET not in repr((row, telegram(), ChannelChanges(url=f"tgram://{TOKEN}/1"), channels.list(7)))
    database.close()
    assert all(SECRET.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_an_address_does_not_open_as_somebody_elses(channels, database):
    """Whoever copies a row to another user gains nothing."""
    row = channels.create(7, telegram())
    assert isinstance(channels.sink(row), AppriseSink)
    stolen = msgspec.structs.replace(row, owner=0)
    with pytest.raises(StorageError, match="user 0"):
        channels.sink(stolen)
    assert context_of(7) != context_of(0)


def test_a_newer_key(channels, database):
    """Seals an address anew when it is opened; the older one is not needed from then on."""
    row = channels.create(7, telegram())
    both = Channels(database, lambda: Sealer(b"n" * 32, b"k" * 32), True)
    assert both.sink(row).described.shown == row.shown
    assert Channels(database, lambda: Sealer(b"n" * 32), True).sink(row).described.shown == row.shown
    with pytest.raises(StorageError):
        channels.sink(row)


def test_changes_are_told(channels, told):
    """To who sends, each of them."""
    row = channels.create(0, telegram())
    channels.update(0, row.id, ChannelChanges(enabled=False))
    channels.update(0, row.id, ChannelChanges(url=f"tgram://{TOKEN}/-200"))
    channels.set_template(0, "fill", "{symbol}")
    channels.delete(0, row.id)
    assert len(told) == 5


def test_another_address(channels):
    """Is shown, and used from then on."""
    row = channels.create(7, telegram())
    changed = channels.update(7, row.id, ChannelChanges(url=f"tgram://{TOKEN}/-200"))
    assert changed.shown == channels.sink(changed).described.shown == "tgram://1...2/-200"
    moved = channels.reseal(changed, f"tgram://{TOKEN}/-300")
    assert moved is not None
    assert channels.sink(moved).described.shown == "tgram://1...2/-300"
    assert channels.reseal(changed, f"tgram://{TOKEN}/-400") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"events": ("fil",)}, {"events": ("digest",)}, {"quiet": "22-7"}, {"zone": "Mars/Olympus"}, {"name": " x"}, {"name": "a\x00"},
        {"url": "jsons://example.com/?verify=no"}, {"url": "nothing"},
    ],
)  # fmt: skip
def test_what_makes_no_sense(channels, changes):
    """Is refused when a channel is made and when it is changed, and changes nothing."""
    with pytest.raises(UsageError):
        channels.create(7, telegram(**changes))
    assert channels.list(7) == []
    row = channels.create(7, telegram())
    with pytest.raises(UsageError):
        channels.update(7, row.id, ChannelChanges(**changes))
    assert channels.list(7) == [row]


def test_hours_and_zone_are_checked_together(channels):
    """Also when only one of them is changed."""
    row = channels.create(7, telegram(quiet="22:00-07:00", zone="Asia/Kolkata"))
    assert channels.update(7, row.id, ChannelChanges(zone="UTC")).quiet == "22:00-07:00"
    with pytest.raises(UsageError):
        channels.update(7, row.id, ChannelChanges(zone=""))


def test_channels_of_others(channels):
    """Are not there."""
    row = channels.create(7, telegram())
    for ask in (
        lambda: channels.update(0, row.id, ChannelChanges(name="x")), lambda: channels.delete(0, row.id), lambda: channels.test(0, row.id),
    ):  # fmt: skip
        with pytest.raises(UnknownNameError):
            ask()
    assert (channels.list(0), channels.list(None)) == ([], [row])


def test_trying_a_channel(channels, monkeypatch):
    """A message now; how the channel stands is noted, and one that is refused is out of use."""
    with Telegram(chats=(-100,)) as server:
        redirect(monkeypatch, telegram=server)
        row = channels.create(7, telegram(quiet="00:00-23:59", zone="Asia/Kolkata"))
        channels.set_template(7, "test", "Hello {channel}")
        assert channels.test(7, row.id).answer == "sent"
        assert server.texts == ["Hello phone"]
        assert (channels.list(7)[0].status, channels.list(7)[0].enabled) == ("ok", True)
        server.chats.clear()
        found = channels.test(7, row.id)
        assert (found.answer, "chat not found" in found.reason) == ("refused", True)
        assert (channels.list(7)[0].status, channels.list(7)[0].enabled) == ("disabled", False)


def test_a_private_address_needs_the_operator(database):
    """What the settings allow, and nothing else."""
    with Hook() as server:
        strict = Channels(database, lambda: Sealer(b"k" * 32))
        with pytest.raises(UsageError, match=r"notify\.allow_private"):
            strict.create(7, NewChannel("hook", server.url_of()))


def test_what_sends_is_not_installed(channels, monkeypatch):
    """It is named, with the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'openbell\[notify\]'"):
        channels.create(7, telegram())
    with pytest.raises(ConfigError):
        open_sink("json://example.com")


def test_from_json(channels):
    """As the gateway decodes it: unknown fields are refused, and so is what is too long."""
    new = msgspec.json.decode(b'{"name": "a", "url": "json://127.0.0.1/x", "events": ["fill"]}', type=NewChannel)
    assert channels.create(7, new).events == ("fill",)
    for body in (
        b'{"name": "a"}',
        b'{"name": "", "url": "x"}',
        b'{"name": "a", "url": "x", "owner": 1}',
        b'{"name": "a", "url": "x", "minimum": "loud"}',
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(body, type=NewChannel)
    assert msgspec.json.decode(b'{"enabled": false}', type=ChannelChanges) == ChannelChanges(enabled=False)
