"""What a run is made of, as frozen plain data: listings, venue, limits. It is written into the journal, so that a replay knows it."""

from dataclasses import dataclass

from openbell.errors import ConfigError
from openbell.model import enums


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument as a venue lists it.

    `price_increment` is the smallest step of a price (0: none), `lot_size` the units in one lot, `lateness_ns` how far out of order a trade
    may be and still enter its candle (at most three of the shortest timeframe).
    """

    symbol: str
    price_increment: float = 0.0
    lot_size: float = 1e-8
    currency: str = "USD"
    quantity_max: int = enums.UNLIMITED
    day_offset_ns: int = 0
    lateness_ns: int = 0


_FILL = {"outside": enums.FILL_OUTSIDE, "next": enums.FILL_NEXT, "prevailing": enums.FILL_PREVAILING}


@dataclass(frozen=True, slots=True)
class Venue:
    """How orders are filled: the simulated venue's models, or `fill="outside"` for a real broker.

    Fees are basis points of the value (`fee_taker_bps`, `fee_maker_bps`), or an amount a unit (`fee_per_unit`, at least `fee_min` a fill);
    `participation` is the share of an event's quantity that orders may take, 0 for all they want.
    """

    fill: str = "next"
    fee_taker_bps: float = 0.0
    fee_maker_bps: float | None = None
    fee_per_unit: float = 0.0
    fee_min: float = 0.0
    slippage_bps: float = 0.0
    slippage_increments: float = 0.0
    latency_ns: int = 0
    latency_spread_ns: int = 0
    participation: float = 0.0

    def __post_init__(self) -> None:
        if self.fill not in _FILL:
            raise ConfigError(f"venue.fill is {self.fill!r}", f"one of {', '.join(_FILL)}")
        for name in ("fee_per_unit", "fee_min", "slippage_increments", "latency_ns", "latency_spread_ns"):
            if not 0 <= getattr(self, name) < 1e15:
                raise ConfigError(f"venue.{name} is {getattr(self, name)}", "a finite number, 0 or more")
        if not 0 <= self.slippage_bps < 10_000:
            raise ConfigError(f"venue.slippage_bps is {self.slippage_bps}", "basis points from 0 to less than 10000")
        if not -10_000 < self.fee_taker_bps < 10_000 or not -10_000 < (self.fee_maker_bps or 0.0) < 10_000:
            raise ConfigError(f"venue fees are {self.fee_taker_bps} and {self.fee_maker_bps} bps", "basis points between -10000 and 10000")
        if not 0.0 <= self.participation <= 1.0:
            raise ConfigError(f"venue.participation is {self.participation}", "a share from 0 to 1")

    @property
    def fill_model(self) -> int:
        """FILL_OUTSIDE, FILL_NEXT or FILL_PREVAILING."""
        return _FILL[self.fill]


@dataclass(frozen=True, slots=True)
class Limits:
    """The risk limits of one strategy. 0 denies; `None` says that a limit is meant to be absent.

    The defaults are those of an unattended retail account. Shares are of the cash the strategy starts with.
    """

    order_quantity_max: int | None = None
    order_value_share: float | None = 0.05
    position_max: int | None = None
    collar_bps: float | None = 500.0
    drift_bps: float | None = 1_000.0
    drift_window_ns: int = 300_000_000_000
    market_protection_bps: float | None = 100.0
    price_age_max_ns: int | None = 5_000_000_000
    open_orders_max: int = 50
    short_allowed: bool = False

    def __post_init__(self) -> None:
        for name in ("order_quantity_max", "order_value_share", "position_max", "collar_bps", "drift_bps", "market_protection_bps"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1e18:
                raise ConfigError(f"limits.{name} is {value}", "a finite number, 0 or more, or none for no limit")


#: For research: orders are checked for form, permission, holdings and cash, and otherwise pass.
NO_LIMITS = Limits(
    order_value_share=None, collar_bps=None, drift_bps=None, market_protection_bps=None, price_age_max_ns=None, open_orders_max=200
)
