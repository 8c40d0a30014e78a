"""Candles straight from columns of trades, by the same builder, for whole histories at memory speed."""

from typing import Any

import numpy as np

from openbell.bars.builder import add_trade, close_oldest, open_bar
from openbell.model.candles import BUILDER_RECORD, NEVER, builder_at
from openbell.model.events import BAR_RECORD, bar_at, copy_candle
from openbell.model.jit import kernel


def candles_of(ts: Any, price: Any, quantity: Any, timeframe_ns: int) -> np.ndarray[Any, Any]:
    """The candles (dtype BAR_RECORD) of trades in time order.

    `ts` int64 ns, `price` float64, `quantity` int64 lots, all of one length. The last candle is there too, complete or not.

    >>> bars = candles_of(np.array([0, 5, 12]), np.array([10.0, 11.0, 9.0]), np.array([1, 2, 3]), 10)
    >>> [(int(bar["ts_event"]), float(bar["high"]), int(bar["volume"])) for bar in bars]
    [(0, 11.0, 3), (10, 9.0, 3)]
    """
    arrays = np.ascontiguousarray(ts, np.int64), np.ascontiguousarray(price, np.float64), np.ascontiguousarray(quantity, np.int64)
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(f"columns must be of one length, got {[len(array) for array in arrays]}")
    if len(arrays[0]) == 0:
        return np.zeros(0, BAR_RECORD)
    builder = np.zeros(1, BUILDER_RECORD)
    builder["timeframe_ns"], builder["due"], builder["first_ts"] = timeframe_ns, NEVER, NEVER
    room = min(len(arrays[0]), int((arrays[0][-1] - arrays[0][0]) // timeframe_ns) + 2)
    out = np.zeros(room, BAR_RECORD)
    return out[: _candles(builder.ctypes.data, *arrays, out.ctypes.data)]


@kernel
def _candles(builder_address: int, ts: Any, price: Any, quantity: Any, out: int) -> int:
    """`add_trade` for every row, with the newest candle kept in registers while trades are in order and inside it."""
    builder = builder_at(builder_address, 0)
    bar = open_bar(builder, 0)
    count, trades, volume = 0, 0, 0
    high, low, close, notional = 0.0, 0.0, 0.0, 0.0
    last, end = 0, 0
    for row in range(len(ts)):
        now, paid = ts[row], price[row]
        if not last <= now < end:
            if end != 0:
                bar.high, bar.low, bar.close, bar.volume, bar.notional, bar.trades = high, low, close, volume, notional, trades
                builder.last_ts[builder.slot] = last
            while builder.due <= now:
                _copy(open_bar(builder, close_oldest(builder)), bar_at(out, count))
                count += 1
            add_trade(builder, now, paid, quantity[row], builder.end - builder.timeframe_ns)
            bar = open_bar(builder, builder.slot)
            high, low, close, volume, notional, trades = bar.high, bar.low, bar.close, bar.volume, bar.notional, bar.trades
            last, end = builder.last_ts[builder.slot], builder.end
        else:
            last = now
            close = paid
            high = paid if paid > high else high
            low = paid if paid < low else low
            volume += quantity[row]
            notional += paid * quantity[row]
            trades += 1
    bar.high, bar.low, bar.close, bar.volume, bar.notional, bar.trades = high, low, close, volume, notional, trades
    while builder.due < NEVER:
        _copy(open_bar(builder, close_oldest(builder)), bar_at(out, count))
        count += 1
    return count


@kernel
def _copy(source: Any, target: Any) -> None:
    target.kind = source.kind
    target.ts_available = source.ts_event + source.timeframe_ns
    copy_candle(source, target)
