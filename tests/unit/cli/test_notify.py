"""`openbell notify`: what it writes, what it prints, and what it refuses."""

import contextlib
import io
import json

import pytest

from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.notification_rows import News
from openbell.adapters.stores.notifications import Outbox
from openbell.cli import run
from tests.sinks import TOKEN, WEBHOOK_TOKEN, Discord, Hook, Telegram, redirect

SECRET = TOKEN.split(":")[1]


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    """Run a command over a database of its own, with what is typed; returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLITE_PATH", str(tmp_path / "platform.db"))
    monkeypatch.setenv("OPENBELL_DATABASE__ENGINE", "sqlite")
    monkeypatch.setenv("OPENBELL_NOTIFY__ALLOW_PRIVATE", "true")

    def called(*arguments, typed=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = run(["notify", *arguments])
        printed = capsys.readouterr()
        assert SECRET not in printed.out + printed.err
        return code, printed.out, printed.err

    return called


def test_channels_are_added_listed_tried_and_removed(call, monkeypatch):
    """The address is read from standard input, and never printed."""
    with Telegram() as telegram, Discord() as discord:
        redirect(monkeypatch, telegram=telegram, discord=discord)
        assert call("channels", "list")[:2] == (0, "no channels\n")
        added = call("channels", "add", "phone", "--events", "fill,kill", "--quiet", "22:00-07:00", typed=f"{telegram.url_of()}\n")
        assert added[:2] == (0, "channel 1: tgram://1...2/-1001234567890; try it with: openbell notify channels test 1\n")
        assert call("channels", "add", "team", "--minimum", "warning", typed=discord.url_of())[0] == 0
        assert call("channels", "test", "1")[:2] == (0, "channel 1: sent\n")
        assert "This is a test of the channel phone" in telegram.texts[0]
        discord.token = "another"
        assert call("channels", "test", "2")[:2] == (1, "channel 2: refused: 401: Invalid Webhook Token\n")
        lines = call("channels", "list")[1].splitlines()
        assert lines[0].split() == ["id", "name", "address", "events", "at", "least", "quiet", "status", "error"]
        assert lines[1].endswith("fill,kill  info      22:00-07:00 UTC  ok")
        assert lines[2].endswith("warning                    disabled  401: Invalid Webhook Token")
        assert WEBHOOK_TOKEN not in lines[2]
        assert call("channels", "enable", "2")[:2] == (0, "channel 2 is on\n")
        assert call("channels", "enable", "1", "--off")[:2] == (0, "channel 1 is off\n")
        assert [(row["name"], row["enabled"], row["status"]) for row in json.loads(call("channels", "list", "--json")[1])] == [
            ("phone", False, "ok"), ("team", True, "new"),
        ]  # fmt: skip
        assert call("channels", "remove", "1")[:2] == (0, "channel 1 is removed\n")
        code, _, error = call("channels", "remove", "1")
        assert (code, error) == (2, "openbell: there is no channel 1.\n")


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (("a",), "", "no address was given"),
        (("a",), f"tgram://{TOKEN}", "names no chat"),
        (("a", "--events", "fils"), "json://127.0.0.1/", "there is no event 'fils'. Did you mean 'fill'?"),
        (("a", "--quiet", "ten"), "json://127.0.0.1/", "hours such as 22:00-07:00"),
        (("a", "--zone", "Mars"), "json://127.0.0.1/", "there is no time zone 'Mars'"),
        (("x" * 65,), "json://127.0.0.1/", "makes no sense"),
        (("a", "--user", "nobody"), "json://127.0.0.1/", "there is no user 'nobody'"),
    ],
)
def test_what_is_refused(call, arguments, typed, said):
    """With one line that says what to do."""
    code, _, error = call("channels", "add", *arguments, typed=typed)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1
    assert call("channels", "list")[1] in ("no channels\n", "")


def test_the_log(call, tmp_path):
    """What was told to whom, and what was not."""
    with Hook() as hook:
        call("channels", "add", "hook", typed=hook.url_of())
    assert call("log")[:2] == (0, "nothing was told\n")
    with contextlib.closing(open_database(tmp_path / "platform.db")) as database:
        outbox = Outbox(database)
        outbox.tell([News("a", 0, "fill", "info", 1_700_000_000_000_000_000, {"symbol": "AAPL"}), News("b", 0, "kill", "critical", 1, {})])
        outbox.mark(1, 1, "failed", 3, error="400: no")
    lines = call("log")[1].splitlines()
    assert lines[2].split() == ["#1", "2023-11-14T22:13:20Z", "hook", "fill", "info", "failed", "3", "400:", "no"]
    assert len(call("log", "--state", "waiting")[1].splitlines()) == 2
    [row] = json.loads(call("log", "--state", "failed", "--json")[1])
    assert (row["id"], row["fields"], row["channel_name"]) == ("a", {"symbol": "AAPL"}, "hook")


def test_own_words(call):
    """Are checked, kept, and taken back."""
    assert call("text", "fill", "{symbol}!")[:2] == (0, "{symbol}!\n")
    assert call("text", "fill")[1] == "{symbol}!\n"
    assert call("text", "fill", "{symbol.__class__}")[0] == 2
    assert call("text", "fill", "--usual")[1].startswith("Fill: {side}")
    assert call("text", "fils")[0] == 2
    assert "an alert came" in call("events")[1]
