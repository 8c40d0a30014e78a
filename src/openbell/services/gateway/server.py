"""Sockets and servers of the gateway: where it may listen, and uvicorn without its own idea of signals."""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from openbell.config import ServerSettings
from openbell.errors import ConfigError, PortInUseError

#: Seconds that open connections get when the platform stops.
GRACE_SECONDS = 2


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(settings: ServerSettings) -> None:
    """Raise ConfigError for an address that others can reach, unless the settings say that this is meant."""
    if not is_loopback(settings.host) and not settings.public:
        raise ConfigError(
            f"server.host is {settings.host!r}, which other machines can reach, and there is no sign-in in front of the orders",
            "127.0.0.1",
            "keep it, and use an SSH tunnel; or set server.public to true behind a proxy that signs users in",
        )


def listen(host: str, port: int, remedy: str) -> socket.socket:
    """A listening socket; PortInUseError when another program has the port, ConfigError for an address that is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(256)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(f"another program listens on {host}:{port}", do=remedy) from None
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", "an address of this machine") from None
    opened.setblocking(False)
    return opened


def parse_address(text: str) -> tuple[str, int]:
    """`:9090` is 127.0.0.1:9090; `0.0.0.0:9090` is every address."""
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


class Server(uvicorn.Server):
    """Uvicorn on a socket that is open already; the platform handles signals."""

    def __init__(self, app: ASGIApp, opened: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="websockets-sansio",
                ws_max_size=64 * 1024,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self.opened = opened

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the platform."""
        yield

    async def run_until_stopped(self) -> None:
        """Serve until `should_exit`."""
        await self.serve(sockets=[self.opened])
