"""History in files: Parquet in slices of a lazy scan, CSV in blocks of lines, a folder file by file.

CSV, plain or gzip, is cut into blocks of whole lines and parsed as text, so that a cell that is no number can
be shown as it stands, a truncated gzip file is noticed, and a long file needs no more memory than a short
one. A line break inside quotes is not supported.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.adapters.stores.history.sources import HEAD_ROWS, Frame, Source, head, unreadable
from openbell.errors import DataError

if TYPE_CHECKING:
    import polars

_BLOCK_BYTES = 1 << 22
_CSV_ENDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz")


def open_path(path: Path) -> Source:
    """The reader for a file or a folder. Raises DataError for what is not there or has another format."""
    if path.is_dir():
        files = sorted(path.glob("*.parquet")) or sorted(file for file in path.iterdir() if file.name.lower().endswith(_CSV_ENDINGS))
        if not files:
            raise DataError(f"the folder {path} holds no Parquet or CSV file", do="name the folder with the files")
        return FolderSource(path, tuple(open_path(file) for file in files))
    if not path.is_file():
        raise DataError(f"there is no file {path}", do="check the path")
    if path.name.lower().endswith(_CSV_ENDINGS):
        return CsvSource(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return ParquetSource(path)
    raise DataError(
        f"{path} ends in '{path.suffix}'",
        expected="a name ending in .parquet, .csv or .csv.gz",
        do="rename or convert it",
    )


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """A Parquet file, in slices of a scan (`collect_batches` reads row groups ahead: 490 MB where slices need
    150 MB).
    """

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[Frame]:
        """See Source."""
        import polars

        try:
            scan = polars.scan_parquet(self.path, glob=False)
            scan = scan if columns is None else scan.select(columns)
            height = scan.select(polars.len()).collect().item() if columns != [] else 0
            for start in range(0, height, rows):
                yield Frame(scan.slice(start, rows).collect(), self.name, start + 1)
                if columns is None:
                    return  # only the head is read with every column
        except (polars.exceptions.PolarsError, OSError) as error:
            raise unreadable(self.name, error, "a complete Parquet file") from error


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A text file with a header line, separated by comma, semicolon or tab, plain or gzip."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[Frame]:
        """See Source; every column is text, an empty cell is null.

        Blocks are cut by bytes, so `rows` is only a hint.
        """
        import polars

        row = 1
        size = _BLOCK_BYTES if rows > HEAD_ROWS else 1 << 16
        try:
            with gzip.open(self.path) if self.path.suffix == ".gz" else self.path.open("rb") as file:
                header = file.readline()
                names, separator = self._header(header)
                for block in _blocks(file, size):
                    data = self._parse(block, names, separator, row)
                    yield Frame(data if columns is None else data.select(columns), self.name, row, 1)
                    row += data.height
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, polars.exceptions.PolarsError) as error:
            raise unreadable(self.name, error, "a complete text file in UTF-8, one line a row") from error

    def _header(self, line: bytes) -> tuple[list[str], str]:
        text = line.decode("utf-8-sig").strip()
        if not text:
            raise DataError(f"{self.name} is empty", expected="a header line and rows", do="check how it was written")
        separator = max(",;\t", key=text.count)
        names = [name.strip().strip('"') for name in text.split(separator)]
        if all(name[:1].isdigit() for name in names):
            raise DataError(
                f"{self.name} begins with '{text[:60]}'",
                expected="a header line with column names",
                do="add one",
            )
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise DataError(f"{self.name} has the column '{min(doubled)}' twice", do="remove or rename one")
        return names, separator

    def _parse(self, block: bytes, names: list[str], separator: str, row: int) -> "polars.DataFrame":
        import polars

        try:
            return polars.read_csv(
                block,
                has_header=False,
                new_columns=names,
                schema_overrides=[polars.String] * len(names),
                separator=separator,
                infer_schema=False,
            )
        except polars.exceptions.ComputeError as error:
            for place, line in enumerate(block.decode("utf-8", "replace").splitlines()):
                cells = line.count(separator) + 1
                if cells > len(names) and '"' not in line:
                    raise DataError(
                        f"{self.name}, row {row + place} (line {row + place + 1}) has {cells} cells",
                        expected=f"{len(names)}, as the header",
                        do="correct the line",
                    ) from error
            raise


def _blocks(file: Any, size: int) -> Iterator[bytes]:
    """Blocks of whole lines; a last line without its line break is kept."""
    rest = b""
    while data := file.read(size):
        data = rest + data
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if cut and not data[:cut].isspace():
            yield data[:cut]
    if rest and not rest.isspace():
        yield rest


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The files of a folder in the order of their names, as one long source.

    All must have the same columns.
    """

    path: Path
    files: tuple[Source, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"{self.path.name}/"

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[Frame]:
        """See Source."""
        if columns is None:
            yield from self.files[0].frames(None, rows)
            return
        for file in self.files:
            found = head(file).columns
            missing = [name for name in columns if name not in found]
            if missing:
                raise DataError(
                    f"{self.name}{file.name} has the columns {', '.join(found)}, but no '{missing[0]}'",
                    expected=f"the columns of {self.files[0].name} in every file",
                    do="read the files one by one",
                )
            yield from file.frames(columns, rows)
