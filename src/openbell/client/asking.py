"""What the parts of a client share: one transport, answers as records, lists over pages, and moments as the platform takes them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from openbell.client.transport import Reply, Transport
from openbell.errors import BrokerError, UsageError

T = TypeVar("T")
R = TypeVar("R")

#: A moment: ms since 1970 UTC, a time with its zone, or ISO 8601 text with one.
Moment = int | str | datetime


class Asking:
    """The base of the parts of a client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _get(self, path: str, kind: type[T], **query: Any) -> T:
        return decoded(self._transport.ask("GET", path, query), kind)

    def _send(self, method: str, path: str, kind: type[T], body: Any = None, key: str = "", timeout_s: float = 0.0) -> T:
        return decoded(self._transport.ask(method, path, None, body, key, timeout_s), kind)

    def _delete(self, path: str) -> None:
        self._transport.ask("DELETE", path)

    def _pages(self, path: str, kind: type[T], rows: Callable[[T], list[R]], limit: int, most: int, **query: Any) -> list[R]:
        """At most `limit` rows of a list, asked for in pages of at most `most`, as the header Link leads from one to the next."""
        if limit < 1:
            raise UsageError(f"limit is {limit}", "1 or more")
        reply = self._transport.ask("GET", path, {**query, "limit": min(limit, most)})
        found = rows(decoded(reply, kind))
        while len(found) < limit and (following := _next(reply)):
            reply = self._transport.ask("GET", following)
            found += rows(decoded(reply, kind))
        return found[:limit]


def decoded(reply: Reply, kind: type[T]) -> T:
    """The record of an answer. BrokerError for one of another shape: there is something else at the address, or another version."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.DecodeError as error:
        raise BrokerError(f"the answer is no {kind.__name__} ({error})", "a platform of this version", "look at the address") from None


def moment(value: Moment | None) -> int | None:
    """ms since 1970 UTC. UsageError for a time without a zone: nobody knows when that is.

    >>> moment("2026-01-31T10:30:00Z"), moment(1_769_855_400_000), moment(None)
    (1769855400000, 1769855400000, None)
    """
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise UsageError(f"{value!r} is no moment", "one such as 2026-01-31T10:30:00Z") from None
    if value.tzinfo is None:
        raise UsageError(f"{value} has no time zone", "one such as 2026-01-31T10:30:00Z")
    return round(value.timestamp() * 1000)


def changes(given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """What was given, where None means left as it is."""
    return {name: value for name, value in given if value is not None}


def _next(reply: Reply) -> str:
    """The path of the next page; empty at the end."""
    address, _, relation = reply.headers.get("link", "").partition(">")
    return address.removeprefix("<") if address.startswith("</") and 'rel="next"' in relation else ""
