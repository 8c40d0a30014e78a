"""Sockets and servers of the gateway: where it may listen, and uvicorn without its own idea of signals."""

import contextlib
import errno
import ipaddress
import resource
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from openbell.config import ServerSettings
from openbell.errors import ConfigError, PortInUseError
from openbell.services.gateway.line import Line
from openbell.services.gateway.protocol import BoundedProtocol

#: Seconds that open connections get when the platform stops.
GRACE_SECONDS = 2
#: Open files asked for at most: tables of some libraries grow with the limit.
FILES_MAX = 1 << 20


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(settings: ServerSettings) -> None:
    """Raise ConfigError for an address that others can reach, unless users sign in there and nobody on the way can listen.

    Also for settings of the server that make no sense together.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError(
            "one of server.tls_cert and server.tls_key is set", "both, or none", "name the files of the certificate and its key"
        )
    for origin in settings.cors_origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc.lower()}":
            raise ConfigError(f"server.cors_origins has {origin!r}", "one such as https://charts.example.com", "write each site out")
    if is_loopback(settings.host):
        return
    reachable = f"server.host is {settings.host!r}, which other machines can reach"
    if settings.sign_in and not (settings.tls_cert or settings.proxies):
        raise ConfigError(
            f"{reachable}, and passwords would go there for everybody on the way to read", "TLS",
            "set server.tls_cert and server.tls_key; or server.proxies to the address of a proxy with TLS in front of it",
        )  # fmt: skip
    if not settings.sign_in and not settings.public:
        raise ConfigError(
            f"{reachable}, and there is no sign-in in front of the orders", "127.0.0.1",
            "keep it, and use an SSH tunnel; or set server.sign_in to true, with TLS; or server.public where a proxy signs users in",
        )  # fmt: skip


def tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """TLS as the settings have it, 1.2 or newer; None without. ConfigError for files that are no certificate and key."""
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"server.tls_cert and server.tls_key cannot be used ({reason})", "a certificate and its key, PEM") from None
    return context


def raise_file_limit() -> int:
    """As many open files as the system allows this process, and how many: a connection is one, and many systems begin with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # a system that says one number and takes another
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return FILES_MAX if soft == resource.RLIM_INFINITY else soft


def listen(host: str, port: int, remedy: str) -> socket.socket:
    """A listening socket; PortInUseError when another program has the port, ConfigError for an address that is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(1024)
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

    def __init__(self, app: ASGIApp, opened: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                http=BoundedProtocol,
                ws=Line,
                ws_max_size=64 * 1024,
                ws_ping_interval=None,  # the lookout of the stream pings all lines
                ws_per_message_deflate=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                ssl_context_factory=None if tls is None else lambda *_: tls,
            )
        )
        self.opened = opened
        self.is_safe = tls is not None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the platform."""
        yield

    async def run_until_stopped(self) -> None:
        """Serve until `should_exit`."""
        await self.serve(sockets=[self.opened])
