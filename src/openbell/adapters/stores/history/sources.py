"""What history is read from: something with named columns that hands over polars frames of some rows each.

`files` reads Parquet and CSV, `frames` what is in memory already; both with memory that does not grow with
the length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from openbell.errors import DataError

if TYPE_CHECKING:
    import polars

HEAD_ROWS = 100


@dataclass(frozen=True, slots=True)
class Frame:
    """Some rows of a source.

    `first_row` counts the source's rows from 1; `header_lines` is what a text file has above row 1.
    """

    data: "polars.DataFrame"
    source: str
    first_row: int
    header_lines: int | None = None


class Source(Protocol):
    """Something with named columns that can be read from its beginning any number of times."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[Frame]:
        """The rows in order, about `rows` at a time, with these columns only (None is all)."""
        ...


def head(source: Source) -> "polars.DataFrame":
    """The first rows with every column. Raises DataError for a source without rows."""
    for frame in source.frames(None, HEAD_ROWS):
        if frame.data.height:
            return frame.data.head(HEAD_ROWS)
    raise DataError(f"{source.name} has no rows", expected="at least one row of data", do="check how it was written")


def unreadable(name: str, reason: object, expected: str) -> DataError:
    """The error for a source that broke while it was read; only the first line of the reason is shown."""
    first_line = str(reason).strip().partition("\n")[0]
    return DataError(f"{name} cannot be read ({first_line})", expected=expected, do="write or download it again")
