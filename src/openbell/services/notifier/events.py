"""What is told: the kinds of event, the fields of each, and the usual words for it."""

from dataclasses import dataclass
from typing import Any

from openbell.errors import UnknownNameError

#: Fields of every event.
ALWAYS = ("time", "severity", "event")


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of event. A template may use its fields, and those of every event."""

    about: str
    fields: tuple[str, ...]
    text: str


#: By the name that channels and templates use.
EVENTS: dict[str, Event] = {
    "fill": Event(
        "an order was filled, or a part of it",
        ("symbol", "side", "quantity", "price", "fee", "profit", "strategy", "order", "status"),
        "Fill: {side} {quantity} {symbol} at {price} ({strategy}, order {order}), {time}",
    ),
    "rejection": Event(
        "the venue refused an order",
        ("symbol", "side", "quantity", "strategy", "order", "reason"),
        "Rejected: {side} {quantity} {symbol} ({strategy}, order {order}): {reason}, {time}",
    ),
    "risk": Event(
        "a risk check denied an order, a strategy failed or may only reduce, or nobody knows what became of an order",
        ("what", "symbol", "strategy", "order", "state", "reason"),
        "Risk: {what} ({strategy}): {reason}, {time}",
    ),
    "kill": Event(
        "a strategy was killed, or armed again",
        ("strategy", "state", "reason"),
        "Kill switch: {strategy} is {state}: {reason}, {time}",
    ),
    "disconnect": Event(
        "a service failed, cannot be heard, or is back",
        ("service", "state", "reason"),
        "Service {service} {state}: {reason}, {time}",
    ),
    "alert": Event(
        "an alert came",
        ("what", "alert", "symbol", "condition", "target", "value", "price", "note"),
        "Alert: {what}, {time}",
    ),
    "channel": Event(
        "a channel does not work, and its owner is told over the others",
        ("channel", "reason"),
        "The channel {channel} does not work: {reason}, {time}",
    ),
    "lost": Event(
        "so much happened at once that some of it could not be written down",
        ("count", "what", "strategy"),
        "{count} events were not kept: {what}, {time}",
    ),
    "digest": Event(
        "so much waited that one message takes the place of many",
        ("count", "what", "first", "last", "dropped", "samples"),
        "{count} messages: {what}; {first} to {last}{dropped}{samples}",
    ),
    "test": Event("somebody tries a channel", ("channel",), "This is a test of the channel {channel}, {time}"),
}  # fmt: skip
#: Those that a channel may want, or not.
CHOICES = tuple(name for name in EVENTS if name not in ("digest", "test", "lost"))


def event_named(name: str) -> Event:
    """An event by its name; UnknownNameError with near names."""
    if name not in EVENTS:
        raise UnknownNameError.of("event", name, EVENTS)
    return EVENTS[name]


def plural(count: int, event: str) -> str:
    """So many of an event.

    >>> plural(1, "fill"), plural(2, "fill"), plural(2000, "risk")
    ('1 fill', '2 fills', '2,000 risk events')
    """
    word = event if event in ("fill", "rejection", "kill", "disconnect", "alert") else f"{event} event"
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(events: dict[str, int]) -> str:
    """How many of each, the most first.

    >>> listed({"alert": 2, "fill": 200})
    '200 fills, 2 alerts'
    """
    return ", ".join(plural(count, event) for event, count in sorted(events.items(), key=lambda item: (-item[1], item[0])))


def shown(value: Any) -> str:
    """A field's value as people read it: one printable line.

    >>> shown(231.07), shown(10_000.0), shown(1.5e-7), shown(3), shown("a\\nb\\x00c"), shown(None)
    ('231.07', '10,000', '1.5e-07', '3', 'a b c', '')
    """
    if isinstance(value, float):
        return f"{value:,.10g}"
    text = "" if value is None else str(value)
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
