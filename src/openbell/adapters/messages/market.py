"""Candles and signals on the wire, for whoever watches the market without stepping a kernel."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from openbell.adapters.messages.columns import BARS, WORDS, block_of, checked, pack, unpack, words_of
from openbell.adapters.messages.parsing import parsed
from openbell.adapters.messages.structs import StructCodec
from openbell.errors import DataError
from openbell.model.events import EVENT
from openbell.proto.v1 import market_pb2, trading_pb2

Array = np.ndarray[Any, Any]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Length = Annotated[int, msgspec.Meta(gt=0)]
Price = Annotated[float, msgspec.Meta(gt=0.0, lt=1e15)]
Units = Annotated[float, msgspec.Meta(ge=0.0, lt=1e18)]


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One candle."""

    symbol: Text
    timeframe: Text  # its length as people write it: 1s, 5m, 4h, 1d
    timeframe_ns: Length
    ts: int  # ns, its start
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Units  # units
    vwap: Price | None  # volume-weighted average price, None without volume
    trades: Count  # 0 when not known
    complete: bool  # closed; an open one still changes


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy decided, before any risk check."""

    run: Text
    strategy: str  # its id
    symbol: Text
    side: Literal["buy", "sell"]
    price: Annotated[float, msgspec.Meta(ge=0.0, lt=1e15)]  # it was seen at, 0 before the first
    ts: int  # ns
    seq: Count  # of the event that caused it
    index: Count  # of its command in the run, from 0


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Closed candles of one symbol."""

    symbol: str
    lot_size: float  # units in one lot
    events: Array  # dtype EVENT, of kind BAR, `seq` 0


_CANDLE = StructCodec(market_pb2.Candle, Candle)
_SIGNAL = StructCodec(trading_pb2.Signal, Signal)


def encode_candle(candle: Candle) -> bytes:
    """The message of a candle.

    >>> candle = Candle(
    ...     symbol="AAPL",
    ...     timeframe="1m",
    ...     timeframe_ns=60_000_000_000,
    ...     ts=1_700_000_040_000_000_000,
    ...     open=150.0,
    ...     high=150.5,
    ...     low=149.9,
    ...     close=150.25,
    ...     volume=1200.0,
    ...     vwap=150.2,
    ...     trades=31,
    ...     complete=True,
    ... )
    >>> decode_candle(encode_candle(candle)) == candle
    True
    """
    return _CANDLE.encode(candle)


def decode_candle(payload: bytes) -> Candle:
    """The inverse; DataError when it cannot be used."""
    return _CANDLE.decode(payload)


def encode_signal(signal: Signal) -> bytes:
    """The message of a signal.

    >>> signal = Signal(run="r1", strategy="sma", symbol="AAPL", side="buy", price=150.25, ts=1_700_000_100_000_000_000, seq=78, index=3)
    >>> decode_signal(encode_signal(signal)) == signal
    True
    """
    return _SIGNAL.encode(signal)


def decode_signal(payload: bytes) -> Signal:
    """The inverse; DataError when it cannot be used."""
    return _SIGNAL.decode(payload)


def encode_candles(symbol: str, lot_size: float, bars: Array) -> bytes:
    """The message of closed candles of one symbol: an array of EVENT of kind BAR, or of COMMAND of kind CANDLE, which has the same bytes.

    >>> bar = np.zeros(2, EVENT)
    >>> bar["kind"], bar["bar"]["timeframe_ns"], bar["bar"]["close"] = 3, 60_000_000_000, (150.0, 150.25)
    >>> candles = decode_candles(encode_candles("AAPL", 1.0, bar))
    >>> candles.symbol, candles.events["bar"]["close"].tolist()
    ('AAPL', [150.0, 150.25])
    """
    message = market_pb2.CandleBatch(symbol=symbol, lot_size=lot_size)
    if len(bars):
        pack(BARS, block_of(words_of(bars)), message.bars)
    return message.SerializeToString()


def decode_candles(payload: bytes, instrument: int = 0) -> Candles:
    """The inverse, as events of this instrument; DataError when it cannot be used."""
    message = parsed(market_pb2.CandleBatch, payload)
    if not message.symbol or not message.lot_size > 0.0:
        raise DataError(f"candles of {message.symbol!r} in lots of {message.lot_size}", "a symbol, and a lot size above 0")
    if not message.HasField("bars"):
        return Candles(message.symbol, message.lot_size, np.zeros(0, EVENT))
    count, columns = checked(BARS, message.bars)
    words = np.zeros((count, WORDS), np.int64)
    unpack(BARS, columns, instrument, words)
    return Candles(message.symbol, message.lot_size, np.frombuffer(words, EVENT))
