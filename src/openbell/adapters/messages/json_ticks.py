"""Trades written as JSON on the market-data topic: one, or a list of them.

    {"symbol": "AAPL", "price": 150.25, "quantity": 3, "ts": 1700000000000, "side": "buy", "trade_id": 7}

`quantity` is in units, `ts` the time of the trade in ms since 1970 UTC, or in ns when above 1e15; `side` and `trade_id` may be left out.
Such trades have no place in the order of a feed: who needs each exactly once sends a TickBatch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from openbell.errors import DataError
from openbell.model import enums, history
from openbell.model.plan import Listing
from openbell.model.time import MILLISECOND, format_time

Array = np.ndarray[Any, Any]

#: A time above it is in ns, otherwise in ms.
MILLISECONDS_MAX = 10**15
#: Times before 1973 are meant otherwise: they are seconds taken for ms, or microseconds taken for ns.
EARLIEST_NS = 10**17
_LATEST_NS = 9 * 10**18
_SIDES = {"buy": enums.BUY, "sell": enums.SELL, None: 0}


class JsonTick(msgspec.Struct, frozen=True):
    """One trade."""

    symbol: Annotated[str, msgspec.Meta(min_length=1)]
    price: Annotated[float, msgspec.Meta(gt=0.0, lt=1e15)]
    quantity: Annotated[float, msgspec.Meta(ge=0.0, lt=1e15)]  # units
    ts: int
    side: Literal["buy", "sell"] | None = None
    trade_id: Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)] = 0


_ONE = msgspec.json.Decoder(JsonTick)
_MANY = msgspec.json.Decoder(list[JsonTick])


@dataclass(frozen=True, slots=True, eq=False)
class JsonTicks:
    """Trades that came as JSON."""

    events: Array  # dtype EVENT, `seq` 0, in the order of the message; `ts_available` is the time of the trade
    unknown: tuple[str, ...]  # symbols that are not listed, whose trades were left out


def decode_json(payload: bytes, instruments: Mapping[str, int], listings: Sequence[Listing]) -> JsonTicks:
    """The trades of the symbols that are listed; DataError when any of the message cannot be used.

    >>> decode_json(b'[{"symbol":"AAPL","price":-1,"quantity":3,"ts":1700000000000}]', {}, [])
    Traceback (most recent call last):
        ...
    openbell.errors.DataError: a tick as JSON: Expected `float` > 0.0 - at `$[0].price`; expected symbol, price, quantity, ts (ms or ns).
    """
    try:
        ticks = _MANY.decode(payload) if payload.startswith(b"[") else [_ONE.decode(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"a tick as JSON: {error}", "symbol, price, quantity, ts (ms or ns)") from None
    known = [tick for tick in ticks if tick.symbol in instruments]
    unknown = tuple(dict.fromkeys(tick.symbol for tick in ticks if tick.symbol not in instruments))
    where = np.array([instruments[tick.symbol] for tick in known], np.int32)
    lots = np.array([listings[instrument].lot_size for instrument in where])
    quantity = history.to_lots(np.array([tick.quantity for tick in known], float), lots, "a quantity")
    times = np.array([_time(tick) for tick in ticks if tick.symbol in instruments], np.int64)
    side = np.array([_SIDES[tick.side] for tick in known], np.int8)
    price, trade_id = np.array([tick.price for tick in known], float), np.array([tick.trade_id for tick in known], np.int64)
    return JsonTicks(history.trades(times, where, price, quantity, side, trade_id), unknown)


def _time(tick: JsonTick) -> int:
    """The time of a tick in ns."""
    ts = tick.ts * MILLISECOND if tick.ts <= MILLISECONDS_MAX else tick.ts
    if not EARLIEST_NS <= ts <= _LATEST_NS:
        meant = f", which is {format_time(ts)}" if 0 <= ts < EARLIEST_NS else ""
        raise DataError(f"ts of a tick of {tick.symbol} is {tick.ts}{meant}", "milliseconds or nanoseconds since 1970 UTC")
    return ts
