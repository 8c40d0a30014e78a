"""What commands print: tables for people, JSON for programs."""

from collections.abc import Collection, Sequence
from typing import Any


def print_table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> None:
    """Rows, the first with the names of the columns; the columns `right` are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        shown = [
            cell.rjust(width) if at in right else cell.ljust(width) for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        print("  ".join(shown).rstrip())


def print_json(value: Any) -> None:
    """Anything that can be JSON."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def when(at_ns: int | None, nothing: str = "") -> str:
    """A time (ns since 1970 UTC) to the second, or what stands for none."""
    from openbell.model.time import format_time

    return nothing if at_ns is None else f"{format_time(at_ns)[:19]}Z"
