"""What goes over the wire while a message is sent: whom it may reach, for how long, and what the server said.

The library that sends says only whether it worked. What a server answered, and for how long it wants to be left alone, is heard here: in
the one call of `requests` that all of its services use, and in the one of `smtplib` that reads a mail server's replies. A server that has
no time (429) ends the attempt there, because some services would ask again at once, or sleep. Which address is connected to is seen by an
audit hook of the interpreter, after names are resolved: a name that leads somewhere else the second time gains nothing. All of it does
nothing but while an `Exchange` is open in the thread that calls.
"""

import contextlib
import io
import ipaddress
import os
import smtplib
import socket
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests

#: Seconds to connect, and between two bytes.
CONNECT_S = 5.0
READ_S = 8.0
#: Bytes of an answer that are read; more is no answer to a message.
ANSWER_MAX = 65_536
TOO_MANY = 429
#: Headers by which a service of the library would decide to sleep.
PACING = ("X-RateLimit-Remaining", "X-RateLimit-Reset")

_open: ContextVar["Exchange | None"] = ContextVar("exchange", default=None)
_installed = Lock()
_plain_send = requests.Session.send
_plain_reply = smtplib.SMTP.getreply
_is_installed = False


class NotAllowedError(OSError):
    """The address is one that may not be reached. An OSError, which every client of a network expects."""


@dataclass(slots=True)
class Answered:
    """What a server said."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(slots=True)
class Exchange:
    """One attempt to send: everything it connects to, and everything it is told."""

    allow_private: bool
    answers: list[Answered] = field(default_factory=list)
    replies: list[int] = field(default_factory=list)  # codes of a mail server
    trouble: str = ""  # why there was no answer
    aborted: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @contextlib.contextmanager
    def opened(self) -> Iterator["Exchange"]:
        """Hear and watch what this thread does until the end of the block."""
        _install()
        token = _open.set(self)
        try:
            yield self
        finally:
            _open.reset(token)
            with self._lock:
                for held in self._sockets:
                    held.close()
                self._sockets.clear()

    def abort(self) -> None:
        """From another thread: let every connection of the attempt break, and no other be made."""
        with self._lock:
            self.aborted = True
            for held in self._sockets:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)

    def perform(self, session: requests.Session, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        """One request, and what is answered to it."""
        if options.get("verify") is False:
            raise requests.exceptions.SSLError("certificates are checked")
        proxy = requests.utils.select_proxy(request.url or "", options.get("proxies") or {})
        if proxy:  # it connects for us, so the name is looked up here as well
            self._check_name(urlsplit(request.url or "").hostname or "")
        options |= {"stream": True, "allow_redirects": False, "timeout": (CONNECT_S, READ_S)}
        try:
            response = _plain_send(session, request, **options)
            with contextlib.closing(response):
                body = response.raw.read(ANSWER_MAX, decode_content=True)
        except (requests.RequestException, OSError) as error:
            self.trouble = self.trouble or _words(error)
            raise
        except Exception as error:  # the transport's own, for an answer that is none
            self.trouble = self.trouble or _words(error)
            raise requests.ConnectionError(self.trouble) from error
        response.raw = io.BytesIO(body)
        response.headers.pop("Content-Encoding", None)
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.answers.append(Answered(response.status_code, headers, body))
        for name in PACING:
            response.headers.pop(name, None)
        if response.status_code == TOO_MANY:
            raise requests.RequestException("the server has no time")
        return response

    def connecting(self, connection: Any, address: Any) -> None:
        """A socket is about to be connected, or to send to an address. NotAllowedError when it may not be reached."""
        host, port = (str(address[0]), address[1]) if isinstance(address, tuple) else ("", 0)
        if self.aborted:
            self.trouble = "it was given up"
            raise NotAllowedError(self.trouble)
        if not self.allow_private and not is_public(host) and (host, port) not in _proxies():
            self.trouble = "it leads to a private address, which may not be reached"
            raise NotAllowedError(self.trouble)
        with self._lock:
            # A name of our own for the connection: it stays the same when the socket is wrapped for TLS, and is nobody else's when closed.
            self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))

    def _check_name(self, host: str) -> None:
        if not self.allow_private and not all(map(is_public, addresses_of(host))):
            self.trouble = "it leads to a private address, which may not be reached"
            raise requests.ConnectionError(self.trouble)


def is_public(address: str) -> bool:
    """Whether an address (not a name) is one of the public internet, whatever it is wrapped in.

    >>> [is_public(address) for address in ("93.184.216.34", "10.0.0.7", "::ffff:127.0.0.1", "64:ff9b::a00:7", "example.com")]
    [True, False, False, False, False]
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in _NAT64 or found in _COMPATIBLE:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def is_address(host: str) -> bool:
    """Whether it is an address, and not a name."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def addresses_of(host: str) -> list[str]:
    """What a name resolves to; nothing when it does not."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def _proxies() -> set[tuple[str, int]]:
    """The addresses and ports of the proxies that the operator has set in the environment."""
    found = [urlsplit(url if "//" in url else f"//{url}") for scheme, url in getproxies().items() if scheme != "no"]
    return {(address, one.port or 80) for one in found if one.hostname for address in addresses_of(one.hostname)}


def _words(error: BaseException) -> str:
    """What went wrong, without the address, which is a secret."""
    for kind, words in (
        (NotAllowedError, "it leads to a private address, which may not be reached"),
        (requests.exceptions.SSLError, "its certificate is not valid"),
        (requests.exceptions.ProxyError, "the proxy does not let it through"),
        (requests.ConnectTimeout, f"no connection within {CONNECT_S:g} s"),
        (requests.Timeout, f"no answer within {READ_S:g} s"),
        (requests.ConnectionError, "it cannot be reached"),
    ):
        if isinstance(error, kind):
            return words
    return f"it cannot be reached ({type(error).__name__})"


def _heard(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    exchange = _open.get()
    return _plain_send(session, request, **options) if exchange is None else exchange.perform(session, request, options)


def _read(client: smtplib.SMTP) -> tuple[int, bytes]:
    code, text = _plain_reply(client)
    if (exchange := _open.get()) is not None:
        exchange.replies.append(code)
    return code, text


def _watched(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook: it hears of everything in the process, so it looks at the name first."""
    if event in _CONNECTING and (exchange := _open.get()) is not None:
        exchange.connecting(arguments[0], arguments[-1])


_CONNECTING = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg"))


def _install() -> None:
    """Once for the process; an audit hook stays until its end."""
    global _is_installed
    with _installed:
        if not _is_installed:
            requests.Session.send = _heard  # type: ignore[method-assign, assignment]
            smtplib.SMTP.getreply = _read  # type: ignore[method-assign, assignment]
            sys.addaudithook(_watched)
            _is_installed = True
