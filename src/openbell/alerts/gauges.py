"""What closed candles tell alerts: indicators, closes and volumes, each computed once for every alert that asks for it."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from openbell import indicators
from openbell.indicators.indicator import Indicator

#: (Name, parameters in the order of their names): what makes two indicators over the same candles the same.
GaugeKey = tuple[str, tuple[tuple[str, float], ...]]
#: High, low, close, volume in units, volume-weighted price.
Candle = tuple[float, float, float, float, float]
#: The close of each candle, as an indicator.
CLOSE = "close"


class Gauge:
    """One indicator over the closed candles of one timeframe, or their closes."""

    def __init__(self, key: GaugeKey) -> None:
        self.key = key
        name, params = key
        self.indicator: Indicator | None = None if name == CLOSE else _class_of(name)(**dict(params))
        #: After the latest candle, NaN while it is not ready: one for each output.
        self.values: tuple[float, ...] = (math.nan,) * self.width
        #: Candles (start ns, candle) that closed while it waits for those before them from elsewhere; None when it does not wait.
        self.held: list[tuple[int, Candle]] | None = None
        #: Start (ns) of the latest candle it took, -1 before the first.
        self.latest = -1

    @property
    def width(self) -> int:
        """How many outputs it has."""
        return 1 if self.indicator is None else max(len(self.indicator.outputs), 1)

    def output(self, name: str) -> int:
        """Which of the values an output is; the empty name is that of the only one."""
        return self.indicator.outputs.index(name) if name and self.indicator is not None else 0

    def take(self, start: int, candle: Candle) -> None:
        """The candle that starts there (ns) closed."""
        if self.held is not None:
            self.held.append((start, candle))
            return
        self.latest = start
        high, low, close, volume, vwap = candle
        if self.indicator is None:
            self.values = (close,)
            return
        columns = {"value": close, "close": close, "high": high, "low": low, "volume": volume, "price": vwap}
        found: Any = self.indicator.update(*(columns[name] for name in self.indicator.inputs))
        self.values = tuple(map(float, found)) if self.indicator.outputs else (float(found),)

    def catch_up(self, history: Iterable[tuple[int, Candle]], is_whole: bool) -> None:
        """Take candles from elsewhere, in order; when they are whole, then those that are held, and wait no more."""
        held, self.held = self.held, None
        for start, candle in [*history, *((held or []) if is_whole else [])]:
            if start > self.latest:
                self.take(start, candle)
        self.held = None if is_whole else held

    def kept(self) -> bytes:
        """Everything, for `restore`."""
        record = b"" if self.indicator is None else np.asarray(self.indicator).tobytes()
        return np.array(self.values).tobytes() + record

    def restore(self, kept: bytes) -> bool:
        """Go on from there; False when it is of another version."""
        size = 0 if self.indicator is None else self.indicator.dtype.itemsize
        if len(kept) != 8 * self.width + size:
            return False
        self.values = tuple(np.frombuffer(kept[: 8 * self.width]).tolist())
        if self.indicator is not None:
            np.asarray(self.indicator)[...] = np.frombuffer(kept[8 * self.width :], self.indicator.dtype)[0]
        return True


def candle_of(bar: Any, lot_size: float) -> Candle:
    """What a gauge takes, of a closed BAR."""
    close, volume = float(bar["close"]), int(bar["volume"])
    return float(bar["high"]), float(bar["low"]), close, volume * lot_size, float(bar["notional"]) / volume if volume else close


def _class_of(name: str) -> Any:
    return getattr(indicators, "".join(word.capitalize() for word in name.split("_")))
