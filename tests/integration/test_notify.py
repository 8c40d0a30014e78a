"""Notifications of a platform as a user has it: real processes, a real server that is told, kill -9 in between."""

import collections
import contextlib
import json
import re
import signal
import subprocess
import sys

import pytest

from tests.running import Running, clean_environment, running, until
from tests.sinks import Hook

pytestmark = pytest.mark.integration


def notify(folder, *arguments, typed=""):
    """A command of `openbell notify`, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "openbell", "notify", *arguments], cwd=folder, input=typed, capture_output=True, text=True, check=True,
        env=clean_environment(OPENBELL_NOTIFY__ALLOW_PRIVATE="true"), timeout=60,
    )  # fmt: skip
    return done.stdout


def logged(folder):
    return json.loads(notify(folder, "log", "--json", "--most", "1000"))


def state_of(demo, service):
    return next(view["state"] for view in demo.get("/services")["services"] if view["name"] == service)


@pytest.fixture
def hook():
    with Hook() as server:
        yield server


def test_fills_an_alert_and_a_kill_are_told(tmp_path, hook):
    """A channel that is made while the platform runs is told what happens from then on, the critical too."""
    with running(tmp_path, "--feed", "simulated", "--speed", "20", OPENBELL_NOTIFY__ALLOW_PRIVATE="true") as demo:
        until(lambda: demo.get("/portfolio")["executions"], 60, "a fill")
        assert "notifier" in {service["name"] for service in demo.get("/services")["services"]}
        notify(tmp_path, "channels", "add", "hook", typed=hook.url_of())
        until(lambda: any(text.startswith("Fill: ") or "fills" in text for text in hook.texts), 60, "a fill that is told")
        add = [sys.executable, "-m", "openbell", "alerts", "add", "BTCUSDT", "above", "1"]
        subprocess.run(add, cwd=tmp_path, env=clean_environment(), check=True, capture_output=True, timeout=60)
        until(lambda: any(text.startswith("Alert: BTCUSDT is at or above 1, at ") for text in hook.texts), 60, "an alert that is told")
        strategy = demo.get("/strategies")["strategies"][0]["id"]
        assert demo.ask("POST", f"/strategies/{strategy}/kill")[0] == 200
        until(lambda: any(text.startswith(f"Kill switch: {strategy} is halted") for text in hook.texts), 30, "the kill")
        assert demo.stop() == 0
    states = collections.Counter(row["state"] for row in logged(tmp_path))
    assert set(states) <= {"sent", "digested", "waiting"}
    assert hook.url_of() not in demo.log.read_text()


def test_what_was_decided_before_a_kill_is_told_after_it(tmp_path, hook):
    """kill -9 at some moments: every fill of the run is told once in the list, to the sink at least once, with the same number."""
    arguments = ("--feed", "recorded", "--speed", "400")
    environment = {"OPENBELL_NOTIFY__ALLOW_PRIVATE": "true", "OPENBELL_NOTIFY__STORM": "1000000"}
    notify(tmp_path, "channels", "add", "hook", "--events", "fill", typed=hook.url_of())
    for texts in (1, 4, 9):
        demo = Running(tmp_path, *arguments, **environment).wait_until_healthy()
        with contextlib.suppress(AssertionError):
            until(lambda texts=texts: len(hook.texts) >= texts, 20)
        demo.process.send_signal(signal.SIGKILL)
        demo.process.wait(10)
    with running(tmp_path, *arguments, **environment) as demo:
        until(lambda: state_of(demo, "feed") == "done", 60, "the end of the recording")
        fills = sum(strategy["fills"] for strategy in demo.get("/strategies")["strategies"])
        assert fills > 40
        until(lambda: len(told := logged(tmp_path)) == fills and {row["state"] for row in told} == {"sent"}, 90, "all of them told")
    rows = logged(tmp_path)
    assert len({row["id"] for row in rows}) == fills
    told = collections.Counter(re.search(r"\(#(\d+)\)$", text)[1] for text in hook.texts)
    assert set(told) == {str(row["number"]) for row in rows}
    assert sum(told.values()) - len(told) <= 3  # one that was under way at each kill
