"""`openbell dead-letters`: the messages that nobody could deal with, for a person to look at, send back, or drop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import App, Parameter

from openbell.errors import UsageError

if TYPE_CHECKING:
    from openbell.adapters.buses.rabbitmq.dead_letters import DeadLetter, DeadLetters

Found = TypeVar("Found")
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]

#: Characters of a reason in the list, and bytes of a payload that is no text.
REASON_WIDTH = 60
BYTES_SHOWN = 256

app = App(name="dead-letters", help_format="plaintext", version_flags=[])


@app.command(name="list")
def list_letters(*, most: int = 1000, json: AsJson = False) -> int:
    """List the messages that were put aside, oldest first.

    Parameters
    ----------
    most
        How many to show.
    """
    found = _ask(lambda dead: dead.letters(most))
    if json:
        _print_json([_fields(letter) for letter in found])
        return 0
    if not found:
        print("no dead letters")
        return 0
    rows = [("id", "rejected", "topic", "group", "key", "attempts", "reason")]
    rows += [
        (
            letter.id, _time(letter.rejected_ns), letter.topic, letter.group, letter.key, str(letter.attempts),
            _short(letter.reason),
        )
        for letter in found
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]))
    return 0


@app.command
def show(id: str, /, *, json: AsJson = False) -> int:
    """Show one message: where it was rejected, why, and what it says.

    Parameters
    ----------
    id
        Its id, as `openbell dead-letters list` prints it.
    """
    letter = _ask(lambda dead: dead.find(id))
    if json:
        _print_json(_fields(letter) | {"payload": _text(letter)})
        return 0
    for name, value in _fields(letter).items():
        print(f"{name.replace('_', ' '):<13} {value}")
    print(f"\n{_text(letter)}")
    return 0


@app.command
def requeue(*ids: str, everything: Annotated[bool, Parameter(name="--all", negative="")] = False) -> int:
    """Send messages back to the groups that rejected them, as if for the first time.

    Parameters
    ----------
    ids
        Which, as `openbell dead-letters list` prints them.
    everything
        All of them.
    """
    if bool(ids) == everything:
        raise UsageError("which dead letters is not clear", "either ids or --all", "look with: openbell dead-letters list")
    number = _ask(lambda dead: dead.requeue(None if everything else ids))
    print(f"{number} sent back")
    return 0


@app.command
def drop(*ids: str) -> int:
    """Delete messages for good.

    Parameters
    ----------
    ids
        Which, as `openbell dead-letters list` prints them.
    """
    if not ids:
        raise UsageError("no dead letter is named", "at least one id", "look with: openbell dead-letters list")
    number = _ask(lambda dead: dead.drop(ids))
    print(f"{number} dropped")
    return 0


def _ask(question: Callable[[DeadLetters], Awaitable[Found]]) -> Found:
    from openbell.adapters.buses.rabbitmq.dead_letters import DeadLetters
    from openbell.config import load_settings

    async def ask() -> Found:
        async with DeadLetters(load_settings().rabbitmq) as letters:
            return await question(letters)

    return asyncio.run(ask())


def _fields(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id, "topic": letter.topic, "group": letter.group, "key": letter.key, "reason": letter.reason,
        "attempts": letter.attempts, "first_seen": _time(letter.first_seen_ns), "rejected": _time(letter.rejected_ns),
        "content_type": letter.content_type, "bytes": len(letter.payload), "queue": letter.queue,
    }  # fmt: skip


def _time(at_ns: int) -> str:
    from openbell.model.time import format_time

    return format_time(at_ns) if at_ns else "-"


def _short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= REASON_WIDTH else f"{line[: REASON_WIDTH - 1]}…"


def _text(letter: DeadLetter) -> str:
    """The payload for a person: as it is when it is printable text, its first bytes otherwise."""
    try:
        text = letter.payload.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if all(character.isprintable() or character in "\n\t" for character in text):
        return text
    shown = letter.payload[:BYTES_SHOWN].hex(" ")
    return shown if len(letter.payload) <= BYTES_SHOWN else f"{shown} ... ({len(letter.payload):,} bytes)"


def _print_json(value: Any) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
