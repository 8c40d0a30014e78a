"""Recorded ticks as a source that a feed can play: the session that comes with openbell, or a file of one's own.

The shipped session is decoded once, by a process of its own, and kept as plain records in the user's cache: reading those back takes
20 ms, where decoding takes half a second and 90 MB for the library that does it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np

from openbell.adapters.feeds.base import EventArray
from openbell.adapters.feeds.replay import Recording
from openbell.errors import DataError
from openbell.model.events import EVENT
from openbell.model.jit import PACKAGE, cache_folder, file_hash
from openbell.model.plan import Listing

#: Eleven minutes of Binance spot around midnight of 2024-08-09, all by the collector's one clock: see the catalog for why.
SHIPPED = ("btcusdt", "btcusdt-quotes", "ethusdt")
SHIPPED_LISTINGS = (Listing("BTCUSDT", 0.01, 1e-5, "USDT"), Listing("ETHUSDT", 0.01, 1e-5, "USDT"))
#: What decides about the decoded records: the data, and the code that reads it.
_DECIDES = (
    "data/SHA256SUMS",
    "model/events.py",
    "model/history.py",
    "backtest/data.py",
    "adapters/stores/catalog.py",
    "services/ingest/recordings.py",
)
_DIGEST = 16


def shipped_session() -> tuple[Recording, tuple[Listing, ...]]:
    """The recorded session of the demo, held in memory (10 MB), and what it lists."""
    events = _kept(_cache_file())
    if events is None:
        decode = "import sys; from openbell.services.ingest.recordings import keep_session; keep_session(sys.argv[1])"
        subprocess.run([sys.executable, "-c", decode, str(_cache_file())], check=False, stderr=subprocess.DEVNULL)
        events = _kept(_cache_file())
    if events is None:  # the cache cannot be written
        events = decode_session()
    times = events["ts_available"]
    return Recording("replay", lambda: iter((events,)), (int(times[0]), int(times[-1]))), SHIPPED_LISTINGS


def decode_session() -> EventArray:
    """The session as events, from the shipped files."""
    from openbell.backtest.data import Batches

    batches = Batches(list(SHIPPED), {}, SHIPPED_LISTINGS[0].lot_size, None)
    assert tuple(batches.symbols) == tuple(listing.symbol for listing in SHIPPED_LISTINGS)
    return np.concatenate([_unnumbered(events).view(np.uint8) for events in batches]).view(EVENT)


def keep_session(path: str) -> None:
    """Decode the session into the cache; the file is there as a whole or not at all."""
    data = decode_session().tobytes()
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(blake2b(data, digest_size=_DIGEST).digest() + data)
    part.replace(target)


def _cache_file() -> Path:
    files = [str(PACKAGE / name) for name in _DECIDES]
    files += sorted(str(path) for path in (PACKAGE / "adapters/stores/history").glob("*.py"))
    return cache_folder().parents[1] / "recordings" / f"session-{file_hash(files)}.events"


def _kept(path: Path) -> EventArray | None:
    """The decoded session from the cache; None when it is not there, or not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    content = memoryview(data)[_DIGEST:]
    if len(content) < EVENT.itemsize or blake2b(content, digest_size=_DIGEST).digest() != data[:_DIGEST]:
        return None
    return np.frombuffer(content, EVENT)


def recorded_file(path: str, currency: str = "USD") -> tuple[Recording, tuple[Listing, ...]]:
    """A Parquet or CSV file of trades or quotes, read as it is played, and what it lists. Raises DataError for bars."""
    from openbell.backtest.data import Batches

    batches = Batches(path, {}, None, None)
    if "bars" in batches.kinds:
        raise DataError(f"{path} holds bars", "trades or quotes, which can be played", "use `openbell backtest` for bars")
    listings = tuple(Listing(symbol, 0.0, batches.lot_size, currency) for symbol in batches.symbols)

    def read() -> Iterator[EventArray]:
        return (_unnumbered(events) for events in batches)

    return Recording(f"replay of {Path(path).name}", read), listings


def _unnumbered(events: EventArray) -> EventArray:
    events["seq"] = 0
    return np.ascontiguousarray(events)
