"""Several processes of one platform on this machine: started, asked how they stand, and stopped in order.

What a container platform does on several machines. Each process gets a free port for its health, and its log in a file.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import SystemRandom
from typing import Any

import msgspec

from openbell.errors import OpenbellError
from openbell.services.processes.status import ProcessHealth

#: How long (seconds) a process may take to be healthy (a kernel may have to be compiled first), and to end.
START_S = 90.0
#: Names the process that started a service, in its environment: the service ends when that one is gone.
LAUNCHER = "OPENBELL_LAUNCHER"
STOP_S = 20.0
POLL_S = 0.05
#: Below those that Linux (32768), macOS and Windows (49152) give to connections, and beside those of the servers.
PORTS = range(20_000, 25_000)


@dataclass(slots=True)
class Member:
    """One process of the fleet."""

    name: str
    service: str
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    port: int
    log: Path


#: Where a service serves gRPC, in its environment.
RPC = {"alerts": "OPENBELL_GRPC__ALERTS_ADDR", "gateway": "OPENBELL_GRPC__ADDR"}


class Fleet:
    """Starts `openbell serve` with a settings file (None: where it looks by itself), an environment, and a folder for what it keeps.

    Where the environment does not say where gRPC is served, it is on free ports. Others find the first of each service.
    """

    def __init__(self, config: Path | None, folder: Path, environment: Mapping[str, str]) -> None:
        self.members: dict[str, Member] = {}
        self._config = [] if config is None else ["--config", str(config)]
        self._folder = folder
        own = {name: f"127.0.0.1:{free_port()}" for name in RPC.values()}
        self._environment = {**own, **environment, LAUNCHER: str(os.getpid())}

    def start(self, service: str, *arguments: str, name: str = "") -> Member:
        """Start a process; it may take a moment until it is healthy."""
        name = name or service
        port = free_port()
        log = self._folder / f"{name}.log"
        command = [
            sys.executable, "-m", "openbell", "serve", service, *self._config, "--data-dir", str(self._folder),
            "--metrics", f"127.0.0.1:{port}", *arguments,
        ]  # fmt: skip
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._own(service, name), start_new_session=True
            )
        self.members[name] = Member(name, service, arguments, process, port, log)
        return self.members[name]

    def _own(self, service: str, name: str) -> dict[str, str]:
        """The environment of a process: two of a service cannot listen on the same port."""
        is_first = next((member.name for member in self.members.values() if member.service == service), name) == name
        return self._environment if is_first or service not in RPC else {**self._environment, RPC[service]: "127.0.0.1:0"}

    def start_again(self) -> list[str]:
        """Start every process that has ended by itself; returns their names."""
        ended = [member for member in self.members.values() if member.process.poll() is not None]
        for member in ended:
            self.start(member.service, *member.arguments, name=member.name)
        return [member.name for member in ended]

    def wait_healthy(self, *names: str) -> None:
        """Wait until processes are healthy; OpenbellError with the end of its log when one is not in time."""
        for name in names:
            self.wait(name, lambda health: health.status == "healthy", "healthy", START_S)

    def wait(self, name: str, done: Callable[[ProcessHealth], bool], what: str, seconds: float) -> ProcessHealth:
        """Wait until a process says something of itself, and return what it says."""
        deadline = time.monotonic() + seconds
        while True:
            health = self.health(name)
            if health is not None and done(health):
                return health
            member = self.members[name]
            if member.process.poll() is not None:
                raise OpenbellError(f"{name} ended with code {member.process.returncode}: {last_line(member.log)}", do=f"read {member.log}")
            if time.monotonic() > deadline:
                raise OpenbellError(f"{name} is not {what} after {seconds:g} s: {health}; {last_line(member.log)}", do=f"read {member.log}")
            time.sleep(POLL_S)

    def health(self, name: str) -> ProcessHealth | None:
        """What a process says of itself; None when it does not answer."""
        connection = HTTPConnection("127.0.0.1", self.members[name].port, timeout=5.0)
        try:
            connection.request("GET", "/health")
            return msgspec.json.decode(connection.getresponse().read(), type=ProcessHealth)
        except (OSError, HTTPException, msgspec.DecodeError):
            return None
        finally:
            connection.close()

    def stop(self, *names: str) -> None:
        """Ask processes to end, all of them by default, and wait; one that does not in time is killed."""
        members = [self.members[name] for name in (names or tuple(reversed(self.members)))]
        for member in members:
            if member.process.poll() is None:
                member.process.send_signal(signal.SIGTERM)
        for member in members:
            try:
                member.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()

    def kill(self, name: str) -> None:
        """End a process at once, as a crash does."""
        self.members[name].process.kill()
        self.members[name].process.wait()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def free_port() -> int:
    """A port that nobody listens on now, of those that are not given to whoever connects: a process that comes back finds it free."""
    for port in SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as opened, suppress(OSError):
            opened.bind(("127.0.0.1", port))
            return port
    raise OpenbellError(f"all ports from {PORTS[0]} to {PORTS[-1]} are in use", do="stop what listens there")


def last_line(log: Path) -> str:
    """The last line of a log, for a message."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it has said nothing"


def environment_of(**variables: str) -> dict[str, str]:
    """This process's environment, with some variables changed."""
    return {**os.environ, **variables}
