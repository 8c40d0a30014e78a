"""`openbell control` and `openbell backtest --session` where they cannot work: one sentence, the exit code of its kind."""

import pytest

from openbell import errors
from openbell.adapters.messages.control import ErrorReply, StatusReply
from openbell.cli import control
from tests.running import openbell


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["control", "status"], errors.ConfigError, "scripts/services.sh up"),
        (["control", "pause", "--session", "s1"], errors.ConfigError, "bus.market is inprocess"),
        (["control", "ingest", "subscribe"], errors.UsageError, "names no symbols"),
        (["control", "ingest", "follow", "AAPL"], errors.UsageError, "follow"),
        (["control", "dance"], errors.UsageError, "dance"),
        (["backtest", "rsi", "--data", "sp500", "--session", "s1"], errors.ConfigError, "bus.market is inprocess"),
        (["backtest", "rsi", "--session", "s1"], errors.ConfigError, "bus.market is inprocess"),
        (["backtest", "rsi", "--session", "s1", "--symbols", "AAPL"], errors.UsageError, "no symbols"),
        (["backtest", "rsi"], errors.UsageError, "without --data"),
        (["backtest", "rsi", "--data", "sp500", "--session", "../s1"], errors.UsageError, "letters, digits"),
        (["backtest", "rsi", "--data", "a,b", "--session", "s1"], errors.UsageError, "by their names"),
        (["backtest", "rsi", "--data", "stored", "sp500", "--session", "s1"], errors.UsageError, "alone"),
        (["backtest", "rsi", "--data", "sp500", "--session", "s1", "--start", "soon"], errors.DataError, "soon"),
    ],
)
def test_what_cannot_work_is_said(arguments, error, words, tmp_path):
    """No servers in the settings, no symbols, no such command, no such id."""
    done = openbell(*arguments, folder=tmp_path)
    assert "Traceback" not in done.stderr
    assert done.returncode == error.exit_code, done.stderr
    assert words in done.stderr


def test_answers_are_aligned(capsys, monkeypatch):
    """One line a service, sorted by process; an error makes the command fail with its code, after the others are shown."""
    replies = [
        StatusReply(
            sender="trader-2-a", service="trader", state="running", processed=1_234_567, queue=3, lag_ms=1.26, detail="seq 1,234,567"
        ),
        StatusReply(sender="ingest-1-b", service="feed", state="paused", processed=9, detail="paused, replay 2x"),
    ]
    monkeypatch.setattr("openbell.cli.connection.over_buses", lambda name, config, work: replies)
    assert control.status() == 0
    assert capsys.readouterr().out.splitlines() == [
        "process     service  state    processed  queue  lag ms  detail",
        "ingest-1-b  feed     paused           9      0          paused, replay 2x",
        "trader-2-a  trader   running  1,234,567      3     1.3  seq 1,234,567",
    ]
    replies.append(ErrorReply(detail="there is no session 's1'", error="UnknownNameError"))
    with pytest.raises(errors.UnknownNameError, match="s1"):
        control.pause(session="s1")
    assert "feed" in capsys.readouterr().out
    replies.clear()
    with pytest.raises(errors.BusError, match="nobody answered"):
        control.resume()
