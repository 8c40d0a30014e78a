"""The data sets that come with openbell, by short names: real recorded markets to learn and test with.

    btcusdt, btcusdt-quotes   the same ten minutes of one market, trades and best bid and offer; merge them
    for a demo us-daily                  thirty years of daily closes of twenty shares

Sources and licences are in `NOTICE.md` beside the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from openbell.adapters.stores.history import HistoryReader, read_history
from openbell.errors import UnknownNameError

__all__ = ["CATALOG", "Dataset", "dataset_names", "open_dataset", "open_history"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One shipped data set: a file, what to choose from it, and what to know about it."""

    file: str
    about: str
    options: Mapping[str, object] = field(default_factory=dict)  # for `read_history`

    @property
    def path(self) -> Path:
        """Where the file is installed."""
        return Path(str(files("openbell"))) / "data" / self.file


_TRADES = "crypto_binance_trades.parquet"
# Times of arrival for spot trades and quotes alike: the collector's clock was 1.27 s behind the exchange's
# that night, so the trades' own time would put every trade 1.27 s after the quotes it was made at.
_SPOT = {"where": {"venue": "binance_spot"}, "time": "recv_ts_ns", "start": "2024-08-01", "sort": True}
_PERPETUAL = {"where": {"venue": "binance_usdm"}, "start": "2024-01-01", "sort": True}

CATALOG: dict[str, Dataset] = {
    "btcusdt": Dataset(
        _TRADES,
        "19,904 BTCUSDT trades, Binance spot, eleven minutes around midnight UTC of 2024-08-09",
        {"symbols": "BTCUSDT", **_SPOT},
    ),
    "btcusdt-quotes": Dataset(
        "crypto_btcusdt_spot_bbo.parquet",
        "73,174 changes of the best BTCUSDT bid and offer, Binance spot, the same eleven minutes",
        {"symbols": "BTCUSDT"},
    ),
    "ethusdt": Dataset(
        _TRADES,
        "14,515 ETHUSDT trades, Binance spot, the same eleven minutes",
        {"symbols": "ETHUSDT", **_SPOT},
    ),
    "btcusdt-perpetual": Dataset(
        _TRADES,
        "32,014 BTCUSDT trades, Binance USD-M perpetual, windows around midnight of 2024-07-19 and 08-09",
        {"symbols": "BTCUSDT", **_PERPETUAL},
    ),
    "ethusdt-perpetual": Dataset(
        _TRADES,
        "27,731 ETHUSDT trades, Binance USD-M perpetual, windows around midnight of 2024-07-19 and 08-09",
        {"symbols": "ETHUSDT", **_PERPETUAL},
    ),
    "us-daily": Dataset(
        "us_equity_daily_adjclose_20.csv.gz",
        "daily adjusted closes of twenty US shares, 1990 to 2022 (survivors only)",
    ),
    "us-daily-raw": Dataset(
        "us_equity_daily_wiki_actions_samples.csv.gz",
        "daily bars as traded, splits and dividends unadjusted, of ten US shares between 2000 and 2017",
        {"sort": True},
    ),
    "sp500": Dataset("us_index_sp500_daily.csv.gz", "daily closes of the S&P 500 price index, 1990 to 2022"),
    "vix": Dataset(
        "index_vix_daily.csv.gz",
        "daily bars of the CBOE volatility index, 1990 to 2026, without 47 that are no bars",
        {"symbols": "VIX", "on_bad": "drop"},
    ),
}


def dataset_names() -> list[str]:
    """The names of the shipped data sets, sorted."""
    return sorted(CATALOG)


def open_dataset(name: str, **options: object) -> HistoryReader:
    """Open a shipped data set; `options` are those of `read_history` and win over the set's own.

    Raises UnknownNameError with the near names.

    >>> open_dataset("sp500").symbols
    ('SP500',)
    """
    if name not in CATALOG:
        raise UnknownNameError.of("data set", name, CATALOG)
    dataset = CATALOG[name]
    return read_history(dataset.path, **{**dataset.options, **options})  # type: ignore[arg-type]


def open_history(data: object, **options: object) -> HistoryReader:
    """Open whatever a user may mean by data: the name of a shipped set, a path, or a frame in memory.

    A text without a folder or an ending is a name, unless a file or folder is called so. Raises
    UnknownNameError and DataError.
    """
    if isinstance(data, str) and data in CATALOG and not Path(data).exists():
        return open_dataset(data, **options)
    if isinstance(data, str) and not Path(data).expanduser().exists() and "/" not in data and "." not in data:
        raise UnknownNameError.of("data set, file or folder", data, CATALOG)
    return read_history(data, **options)  # type: ignore[arg-type]
