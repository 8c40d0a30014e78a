"""Requests of a client over HTTP/1.1: always with a time limit, and repeated only where that can do nothing twice.

A request is repeated when nothing of it was sent, or when it may be: a GET, or a POST that carries an Idempotency-Key. So it is after 429
and 503, as late as the platform says. Answers are read as they are; no redirect is followed, and no proxy is used.
"""

import gzip
import http.client
import random
import time
import zlib
from collections import deque
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from openbell import __version__
from openbell.client.address import Platform
from openbell.client.problems import error_of
from openbell.errors import BrokerError, UnreachableError

#: Bytes of an answer.
ANSWER_MAX = 64 << 20
#: Seconds for which a connection that nobody uses is kept: the platform closes it after five.
IDLE_S = 2.0
#: Longest wait (seconds) before a request is repeated; who is told to come later than that has to come by himself.
WAIT_MAX_S = 10.0
#: Status of what may succeed a moment later.
_LATER = (429, 503)


class Reply(NamedTuple):
    """An answer: its status, its headers in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: bytes


class LostError(BrokerError):
    """It was sent, and no answer came."""


class Transport:
    """Asks one platform; safe for several threads, each of which has a connection while it waits."""

    def __init__(self, platform: Platform, timeout_s: float, attempts: int) -> None:
        self._platform = platform
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._idle: deque[tuple[http.client.HTTPConnection, float]] = deque()

    def ask(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None, key: str = "", timeout_s: float = 0.0,
        good: int = 200,
    ) -> Reply:  # fmt: skip
        """A good answer: 2xx, or of the status `good`.

        Raises what `error_of` makes of others, UnreachableError when nothing was sent, LostError when no answer came.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None and value != ""}
        target = f"{path}?{urlencode(given)}" if given else path
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"openbell/{__version__}",
            **self._platform.headers,
        }
        content = None
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        elif method == "POST":
            content = b""
        if key:
            headers["Idempotency-Key"] = key
        is_repeatable = method == "GET" or bool(key)
        attempt = 1
        while True:
            last, wait_s = attempt >= self._attempts, random.uniform(0.05, 0.1) * 4**attempt
            try:
                reply = self._once(method, target, content, headers, timeout_s or self._timeout_s, is_repeatable)
            except (LostError, UnreachableError) as error:
                if last or not (is_repeatable or isinstance(error, UnreachableError)):
                    raise
            else:
                if reply.status < 300 or reply.status == good:
                    return reply
                after = reply.headers.get("retry-after", "")
                wait_s = max(wait_s, float(after)) if after.isdigit() else wait_s
                if last or not is_repeatable or reply.status not in _LATER or wait_s > WAIT_MAX_S:
                    raise error_of(reply.status, reply.body, after, reply.headers.get("x-request-id", ""))
            time.sleep(wait_s)  # as long as the platform says, or a little longer each time
            attempt += 1

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        while self._idle:
            self._idle.popleft()[0].close()

    def _once(self, method: str, target: str, content: bytes | None, headers: dict[str, str], timeout_s: float, may_reuse: bool) -> Reply:
        connection = self._connection(timeout_s, may_reuse)
        try:
            if connection.sock is None:
                try:
                    connection.connect()
                except OSError as error:
                    raise UnreachableError(
                        f"{self._platform.url} cannot be reached ({_reason(error)})", do="look whether it runs"
                    ) from None
            connection.request(method, target, content, headers)
            answer = connection.getresponse()
            data = _read(answer, time.monotonic() + timeout_s)
            found = {name.lower(): value for name, value in answer.getheaders()}
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise LostError(f"{self._platform.url} did not answer {method} {target.partition('?')[0]} ({_reason(error)})") from None
        except BaseException:
            connection.close()
            raise
        if len(data) > ANSWER_MAX or answer.will_close:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))
        return Reply(answer.status, found, _plain(data, found.get("content-encoding", "")))

    def _connection(self, timeout_s: float, may_reuse: bool) -> http.client.HTTPConnection:
        """One that is open, or a new one. What must not be sent twice goes over a new one: an old one may have been closed just now."""
        while self._idle:
            connection, since = self._idle.pop()
            if may_reuse and time.monotonic() - since < IDLE_S and connection.sock is not None:
                connection.sock.settimeout(timeout_s)
                return connection
            connection.close()
        place = (self._platform.host, self._platform.port)
        if self._platform.tls is not None:
            return http.client.HTTPSConnection(*place, timeout=timeout_s, context=self._platform.tls)
        return http.client.HTTPConnection(*place, timeout=timeout_s)


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """The whole body, or a byte more than the longest. TimeoutError for one that comes in drops."""
    data = bytearray()
    while len(data) <= ANSWER_MAX and (part := answer.read1(1 << 16)):
        data += part
        if time.monotonic() > deadline:
            raise TimeoutError
    if len(data) <= ANSWER_MAX:
        answer.read()  # nothing is left, and the connection may be used again; or it ended too early, which raises
    return bytes(data)


def _plain(data: bytes, encoding: str) -> bytes:
    """The body of an answer, unpacked; BrokerError when it is too large, or not what it says."""
    try:
        if encoding == "gzip":
            with gzip.GzipFile(fileobj=BytesIO(data)) as packed:
                data = packed.read(ANSWER_MAX + 1)
    except (OSError, EOFError, zlib.error):
        raise BrokerError("the answer of the platform cannot be unpacked", "gzip") from None
    if len(data) > ANSWER_MAX:
        raise BrokerError("the answer of the platform is too large", f"at most {ANSWER_MAX} bytes", "ask for less")
    return data


def _reason(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or type(error).__name__
