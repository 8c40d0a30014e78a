"""What a check of the doctor says: one line, and for what is wrong, what was expected and what to type."""

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "problem"]
#: From the least to the worst.
LEVELS: tuple[Level, ...] = ("ok", "warning", "problem")


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `do` are lines for a shell; what follows a # explains."""

    check: str
    level: Level
    found: str
    expected: str = ""
    do: tuple[str, ...] = ()
    group: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warning(check: str, found: str, expected: str, *do: str) -> Finding:
    """It works, and it will not under load, after a crash, or for other users."""
    return Finding(check, "warning", found, expected, do)


def problem(check: str, found: str, expected: str, *do: str) -> Finding:
    """Something that is configured does not work."""
    return Finding(check, "problem", found, expected, do)


def edit(path: str, why: str = "") -> str:
    """The line for a shell that opens a file in the user's editor."""
    return f"${{EDITOR:-vi}} {path}" + (f"    # {why}" if why else "")
