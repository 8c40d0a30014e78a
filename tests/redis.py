"""A Redis server of a test's own, that may be killed and robbed of its last second without disturbing anybody."""

import contextlib
import os
import socket
import subprocess
from pathlib import Path

from openbell.adapters.buses.base import Bus
from openbell.adapters.buses.redis import RedisPubSubBus, RedisStreamBus
from openbell.adapters.redis_server import RedisServer
from openbell.errors import BusError
from openbell.services.processes.fleet import free_port
from tests.running import until


class OwnRedis:
    """With an append-only file, as scripts/services.sh starts it; `options` are those of redis-server."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.server = RedisServer("127.0.0.1", self.port)
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._buses: list[Bus] = []

    async def end(self) -> None:
        """Close what was connected, as far as that goes, and kill it."""
        for bus in self._buses:
            with contextlib.suppress(BusError):
                await bus.close()
        self.kill()

    def start(self) -> "OwnRedis":
        """Start it, and wait until it answers."""
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", "",
                   "--appendonly", "yes", "--appendfsync", "everysec", *self._options]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until(self._answers, what="Redis")
        return self

    def kill(self) -> None:
        """End it as a crash would. What it answered last may not be in the file: it writes that while it synchronises, not before."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in order: everything is in the append-only file."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def kept(self) -> int:
        """The size of the append-only file once everything done so far is in it."""
        until(lambda: b"aof_buffer_length:0\r\n" in self._ask(b"INFO persistence\r\n"), what="the append-only file")
        return self._file.stat().st_size

    def cut(self, size: int) -> None:
        """Take from the append-only file what was written after it had this size, as a loss of power does; the server is down."""
        os.truncate(self._file, size)

    @property
    def _file(self) -> Path:
        return max((self._folder / "appendonlydir").glob("*.incr.aof"))

    def get(self, key: str, field: str) -> bytes:
        """A field of a hash, as the server answers."""
        return self._ask(f"HGET {key} {field}\r\n".encode())

    def _answers(self) -> bool:
        try:
            return b"+PONG" in self._ask(b"PING\r\n") or b"-NOAUTH" in self._ask(b"PING\r\n")
        except OSError:
            return False

    def _ask(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 5) as link:
            link.sendall(command)
            return link.recv(1 << 16)

    def streams(self, *topics, **options) -> RedisStreamBus:
        """A bus on its streams."""
        return self._connected(RedisStreamBus(self.server, "test", **options), topics)

    def channels(self, *topics) -> RedisPubSubBus:
        """A bus on its channels."""
        return self._connected(RedisPubSubBus(self.server, "test"), topics)

    def _connected(self, bus, topics):
        bus.declare(*topics)
        self._buses.append(bus)
        return bus
