"""A real platform in a process of its own, for the tests that look at it from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from openbell.services.processes.fleet import free_port

#: The very first start compiles the kernel.
START_SECONDS = 90.0


def until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Ask again and again until the answer is true, and return it; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s for {what or condition}"
        time.sleep(0.02)  # between two looks; the deadline decides


def openbell(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of openbell to its end."""
    return subprocess.run(
        [sys.executable, "-m", "openbell", *arguments], cwd=folder, env=clean_environment(**environment), capture_output=True, text=True,
        timeout=START_SECONDS, check=False,
    )  # fmt: skip


def clean_environment(**changes: str) -> dict[str, str]:
    """This environment without settings of openbell's, so that a developer's own do not reach the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBELL_") or name == "OPENBELL_CACHE"}
    return {**kept, "METRICS_ADDR": "", **changes}


class Running:
    """One demo that runs, or another command that serves."""

    def __init__(self, folder: Path, *arguments: str, port: int | None = None, command: str = "demo", **environment: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"log-{self.port}-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "openbell", command, "--port", str(self.port), "--data-dir", str(folder / "data"), *arguments],
                cwd=folder, env=clean_environment(**environment), stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def wait_until_healthy(self) -> "Running":
        """Until /health says so."""

        def healthy() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                return self.get("/health")["status"] == "healthy"
            except OSError:
                return False

        until(healthy, START_SECONDS, "a healthy platform")
        return self

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body and headers of an answer."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, content, found = answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            status, content, found = error.code, error.read(), dict(error.headers)
        kind = {name.lower(): value for name, value in found.items()}.get("content-type", "")
        return status, json.loads(content) if "json" in kind else content, {name.lower(): value for name, value in found.items()}

    def get(self, path: str) -> Any:
        """The body of an answer that has to be 200."""
        status, body, _ = self.ask("GET", path)
        assert status == 200, (path, status, body)
        return body

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **options: Any) -> Iterator[Running]:
    """A demo that is healthy, and is gone at the end of the block."""
    demo = Running(folder, *arguments, **options)
    try:
        yield demo.wait_until_healthy()
    finally:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait(10)
