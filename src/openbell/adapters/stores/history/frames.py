"""History in memory: polars and pandas frames and NumPy arrays, sliced and never copied whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbell.adapters.stores.history.files import open_path
from openbell.adapters.stores.history.sources import Frame, Source, unreadable
from openbell.errors import DataError

if TYPE_CHECKING:
    import polars


def open_source(data: object) -> Source:
    """Choose the reader for a path, a polars or pandas frame, a structured array or a mapping of arrays."""
    if isinstance(data, str | Path):
        return open_path(Path(data).expanduser())
    module = type(data).__module__.partition(".")[0]
    if module == "polars":
        return _polars_source(data)
    if module == "pandas":
        return PandasSource(data)
    if isinstance(data, np.ndarray) and data.dtype.names:
        return ArraySource({name: data[name] for name in data.dtype.names})
    if isinstance(data, Mapping):
        return ArraySource({str(name): np.asarray(values) for name, values in data.items()})
    raise DataError(
        f"cannot read a {type(data).__module__}.{type(data).__qualname__}",
        expected="a path, a polars or pandas frame, a structured NumPy array or a mapping of arrays",
        do="pass one of these",
    )


def _polars_source(data: Any) -> Source:
    import polars

    if isinstance(data, polars.Series):
        raise DataError("cannot read a single polars Series", expected="a frame with times and prices", do="add the times")
    return PolarsSource(data)


@dataclass(frozen=True, slots=True)
class PolarsSource:
    """A DataFrame, in slices; or a LazyFrame, whose plan runs once a pass and hands over batches."""

    data: "polars.DataFrame | polars.LazyFrame"
    name: str = "the polars frame"

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[Frame]:
        """See Source."""
        import polars

        data = self.data if columns is None else self.data.select(columns)
        row = 1
        try:
            if isinstance(data, polars.DataFrame):
                batches: Iterator[polars.DataFrame] = data.iter_slices(rows)
            elif columns is None:
                batches = iter([data.head(rows).collect()])
            else:
                batches = iter(data.collect_batches(chunk_size=rows, maintain_order=True))
            for batch in batches:
                yield Frame(batch, self.name, row)
                row += batch.height
        except polars.exceptions.PolarsError as error:
            raise unreadable(self.name, error, "a query that runs") from error


@dataclass(frozen=True, slots=True)
class ArraySource:
    """Arrays of one length by name, in slices."""

    arrays: dict[str, "np.ndarray[Any, Any]"]
    name: str = "the table of arrays"

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the arrays have the lengths {lengths}", expected="one length", do="cut them alike")

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[Frame]:
        """See Source."""
        import polars

        names = list(self.arrays) if columns is None else columns
        height = len(next(iter(self.arrays.values()), ()))
        for start in range(0, height, rows):
            part = {name: np.ascontiguousarray(self.arrays[name][start : start + rows]) for name in names}
            yield Frame(polars.DataFrame({name: _series(name, part[name]) for name in names}), self.name, start + 1)


@dataclass(frozen=True, slots=True)
class PandasSource:
    """A pandas frame, in slices, without pyarrow. An index with a name, or of times, is a column too."""

    data: Any
    name: str = "the pandas frame"

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[Frame]:
        """See Source."""
        import polars

        plain = type(self.data.index).__name__ == "RangeIndex"
        for start in range(0, len(self.data), rows):
            part = self.data.iloc[start : start + rows]
            part = part if plain else part.reset_index()
            taken = {}
            for column in part.columns:
                name = " ".join(map(str, column)).strip() if isinstance(column, tuple) else str(column)
                if columns is None or name in columns:
                    taken[name] = _pandas_series(name, part[column])
            yield Frame(polars.DataFrame(taken), self.name, start + 1)


def _series(name: str, values: "np.ndarray[Any, Any]") -> "polars.Series":
    import polars

    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] not in ("ms", "us", "ns", "D"):
        values = values.astype("datetime64[ns]")
    if values.dtype.kind in "OUS":
        return polars.Series(name, values.tolist(), strict=False)
    return polars.Series(name, values)


def _pandas_series(name: str, values: Any) -> "polars.Series":
    """Time zones end in UTC; pandas' NA, NaT and None become null."""
    if getattr(values.dtype, "tz", None) is not None:
        return _series(name, values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()).dt.replace_time_zone("UTC")
    if values.dtype.kind in "ifubM":
        return _series(name, values.to_numpy())
    return _series(name, values.astype(object).where(values.notna(), None).to_numpy())
