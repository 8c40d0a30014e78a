"""The numbers of the kernel as the names and amounts of the outside: which symbol is instrument 3, how much is a lot."""

from typing import Any

from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.model.money import exponent
from openbell.model.time import MILLISECOND, format_timeframe, parse_timeframe
from openbell.services.views import Candle, Fill, Order, Signal

#: The account that no strategy trades: it is there for the orders that users place.
MANUAL = "manual"
#: Those for the orders of users who sign in, each his own, begin so; a number follows.
USER = "user-"
#: Statuses that only our own order table tells apart.
_SHOWN_STATUS = {**enums.STATUS_NAMES, enums.PENDING_CANCEL: "accepted", enums.PENDING_MODIFY: "accepted", enums.UNKNOWN: "submitted"}


class Names:
    """What a plan calls its instruments and strategies. Where several traders share a platform, `trader` begins the ids of its orders."""

    def __init__(self, plan: Plan, trader: str = "") -> None:
        self.plan = plan
        self._prefix = f"{trader}-" if trader else ""
        self.symbols = [listing.symbol for listing in plan.listings]
        self.strategies = [assignment.id for assignment in plan.assignments]
        self.instruments = {symbol: index for index, symbol in enumerate(self.symbols)}
        self.lot_sizes = [listing.lot_size for listing in plan.listings]
        self.scale = 10.0 ** exponent(plan.currency)
        frames = {*plan.candles, *(assignment.timeframe for assignment in plan.assignments if assignment.timeframe)}
        self.timeframes = sorted(frames, key=parse_timeframe)

    def order_id(self, order_id: int) -> str:
        """The id of an order, as users see it."""
        return f"{self._prefix}{order_id}"

    def units(self, instrument: int, lots: int) -> float:
        """Lots as units, without the dust of binary fractions."""
        return round(lots * self.lot_sizes[instrument], 10)

    def money(self, minor: int) -> float:
        """Minor units as an amount."""
        return float(minor / self.scale)

    def candle(self, bar: Any) -> Candle:
        """A closed candle from a CANDLE command."""
        instrument, volume = int(bar["instrument"]), int(bar["volume"])
        return Candle(
            self.symbols[instrument], format_timeframe(int(bar["timeframe_ns"])), int(bar["ts_event"]) // MILLISECOND, float(bar["open"]),
            float(bar["high"]), float(bar["low"]), float(bar["close"]), self.units(instrument, volume),
            float(bar["notional"]) / volume if volume else None, int(bar["trades"]), True,
        )  # fmt: skip

    def open_candle(self, bar: Any) -> Candle:
        """A candle that is still open, from the kernel's builder."""
        candle = self.candle(bar)
        candle.complete = False
        return candle

    def signal(self, command: Any) -> Signal:
        """A SIGNAL command."""
        return Signal(
            self.strategies[command["strategy"]], self.symbols[command["instrument"]], side_of(command), float(command["price"]),
            int(command["ts"]) // MILLISECOND,
        )  # fmt: skip

    def fill(self, command: Any) -> Fill:
        """A FILL command."""
        instrument = int(command["instrument"])
        return Fill(
            self.order_id(command["order_id"]), self.symbols[instrument], self.strategies[command["strategy"]], side_of(command),
            self.units(instrument, int(command["quantity"])), float(command["price"]), self.money(int(command["amount"])),
            self.money(int(command["realised"])), int(command["ts"]) // MILLISECOND, int(command["seq"]),
        )  # fmt: skip

    def order(self, command: Any, order_type: int) -> Order:
        """An order of the type that was asked for, as the first command about it has it."""
        instrument = int(command["instrument"])
        kind: Any = enums.ORDER_TYPE_NAMES.get(order_type, "market")
        force: Any = enums.TIME_IN_FORCE_NAMES.get(int(command["time_in_force"]), "gtc")
        return Order(
            id=self.order_id(command["order_id"]),
            symbol=self.symbols[instrument],
            strategy=self.strategies[command["strategy"]],
            side=side_of(command),
            type=kind,
            time_in_force=force,
            status=status_of(command),
            quantity=self.units(instrument, int(command["quantity"])),
            filled=0.0,
            limit_price=price_of(command["price"]) if "limit" in kind else None,
            stop_price=price_of(command["stop_price"]),
            average_price=None,
            reason=reason_of(command),
            ts=int(command["ts"]) // MILLISECOND,
        )


def side_of(command: Any) -> Any:
    """`buy` or `sell`."""
    return "buy" if command["side"] > 0 else "sell"


def price_of(price: Any) -> float | None:
    """A price as people write it, None where the kernel writes 0 for none.

    Ticks times the size of one come out beside the decimal fraction; 15 digits, which a double always keeps, are that.

    >>> price_of(6_440_813 * 0.01)
    64408.13
    """
    return float(f"{price:.15g}") if price > 0.0 else None


def status_of(command: Any) -> str:
    """The order's status in words."""
    return _SHOWN_STATUS.get(int(command["status"]), "submitted")


def reason_of(command: Any) -> str | None:
    """Why an order was denied or ended, None where there is nothing to say."""
    return enums.REASONS.get(int(command["reason"])) or None
