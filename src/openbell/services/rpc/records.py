"""Between what the platform shows, whose times are ms since 1970 UTC, and messages of gRPC, whose times are ns."""

from collections.abc import Iterable
from typing import Any

from openbell.adapters.messages.structs import words_of_enum
from openbell.errors import UsageError
from openbell.model.time import MILLISECOND, parse_timeframe
from openbell.proto.v1 import market_pb2, market_service_pb2, orders_service_pb2, portfolio_service_pb2, trading_pb2
from openbell.services.views import Candle, Fill, Mover, Order, Position, Price

SIDES = words_of_enum(trading_pb2.Side.DESCRIPTOR)
TYPES = words_of_enum(trading_pb2.OrderType.DESCRIPTOR)
FORCES = words_of_enum(trading_pb2.TimeInForce.DESCRIPTOR)
STATUSES = words_of_enum(trading_pb2.OrderStatus.DESCRIPTOR)


def word_of(what: str, words: list[str], number: int, default: str = "") -> str:
    """The word of an enum; `default` when it is not specified. UsageError for a number that it does not have, or none at all."""
    word = words[number] if 0 <= number < len(words) else ""
    if not word and (number or not default):
        raise UsageError(f"the {what} is {number or 'missing'}", f"one of {', '.join(filter(None, words))}")
    return word or default


def number_of(words: list[str], word: str) -> Any:
    """The number of a word; 0, which says nothing, for one that the contract does not have."""
    return words.index(word) if word in words else 0


def text_of(what: str, text: str, most: int = 64) -> str:
    """A text that may be looked for. UsageError when it is longer, or cannot be printed."""
    if len(text) > most or not text.isprintable():
        raise UsageError(f"the {what} is {text[:40]!r}", f"at most {most} printable characters")
    return text


def count_of(what: str, number: int, default: int, most: int) -> int:
    """How many are wanted; `default` for 0. UsageError when it is more than there may be."""
    if number > most:
        raise UsageError(f"{what} is {number}", f"at most {most}")
    return number or default


def price_message(symbol: str, price: Price) -> market_service_pb2.LastPrice:
    """A latest price."""
    return market_service_pb2.LastPrice(
        symbol=symbol, price=price.price, bid=price.bid, ask=price.ask, quantity=price.quantity, ts=price.ts * MILLISECOND
    )


def candle_message(candle: Candle) -> market_pb2.Candle:
    """A candle."""
    return market_pb2.Candle(
        symbol=candle.symbol, timeframe=candle.timeframe, timeframe_ns=parse_timeframe(candle.timeframe), ts=candle.ts * MILLISECOND,
        open=candle.open, high=candle.high, low=candle.low, close=candle.close, volume=candle.volume, vwap=candle.vwap,
        trades=candle.trades, complete=candle.complete,
    )  # fmt: skip


def mover_messages(movers: Iterable[Mover]) -> list[market_service_pb2.Mover]:
    """What moved."""
    return [
        market_service_pb2.Mover(
            symbol=one.symbol,
            price=one.price,
            change_percent=one.change_percent,
            volume=one.volume,
            trades=one.trades,
            notional=one.notional,
        )
        for one in movers
    ]


def order_message(order: Order) -> orders_service_pb2.OrderState:
    """An order as it stands."""
    return orders_service_pb2.OrderState(
        id=order.id, symbol=order.symbol, strategy=order.strategy, side=number_of(SIDES, order.side), type=number_of(TYPES, order.type),
        time_in_force=number_of(FORCES, order.time_in_force), status=number_of(STATUSES, order.status), quantity=order.quantity,
        filled=order.filled, limit_price=order.limit_price, stop_price=order.stop_price, average_price=order.average_price,
        reason=order.reason or "", ts=order.ts * MILLISECOND,
    )  # fmt: skip


def position_message(position: Position) -> portfolio_service_pb2.Position:
    """What an account holds."""
    return portfolio_service_pb2.Position(
        symbol=position.symbol, strategy=position.strategy, quantity=position.quantity, average_price=position.average_price,
        price=position.price, value=position.value, unrealised_pnl=position.unrealised_pnl, realised_pnl=position.realised_pnl,
    )  # fmt: skip


def fill_message(fill: Fill) -> portfolio_service_pb2.Fill:
    """An execution."""
    return portfolio_service_pb2.Fill(
        order_id=fill.order_id, symbol=fill.symbol, strategy=fill.strategy, side=number_of(SIDES, fill.side), quantity=fill.quantity,
        price=fill.price, fee=fill.fee, realised_pnl=fill.realised_pnl, ts=fill.ts * MILLISECOND, seq=fill.seq,
    )  # fmt: skip
