"""A plan: which strategies trade which listings at which venue. Everything a run does follows from its plan and its events."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from openbell.errors import ConfigError, UnknownNameError
from openbell.model.money import exponent
from openbell.model.orders import INTENTS_MAX
from openbell.model.plan import NO_LIMITS, Limits, Listing, Venue
from openbell.model.time import DAY, parse_timeframe


@dataclass(frozen=True, slots=True)
class Assignment:
    """One strategy at work: `strategy` is a shipped name or the path of a file with a Strategy class; no `timeframe` means no bars."""

    id: str
    strategy: str
    symbols: tuple[str, ...]
    timeframe: str = ""
    params: dict[str, float] = field(default_factory=dict)
    cash: float = 100_000.0
    limits: Limits = NO_LIMITS
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run. `candles` are timeframes to build and publish besides those the strategies need."""

    listings: tuple[Listing, ...]
    assignments: tuple[Assignment, ...]
    venue: Venue = field(default_factory=Venue)
    candles: tuple[str, ...] = ()
    bar_timeframe: str = ""
    publish_candles: bool = False
    equity_interval_ns: int = DAY
    order_capacity: int = 1024
    intent_capacity: int = 256

    def __post_init__(self) -> None:
        symbols = [listing.symbol for listing in self.listings]
        if len(set(symbols)) != len(symbols):
            raise ConfigError(f"listings repeat a symbol: {symbols}", "each symbol once")
        if len({assignment.id for assignment in self.assignments}) != len(self.assignments):
            raise ConfigError(f"strategy ids repeat: {[a.id for a in self.assignments]}", "each id once")
        if len({exponent(listing.currency) for listing in self.listings}) > 1:
            raise ConfigError(
                f"listings have currencies of different precision: {sorted({item.currency for item in self.listings})}",
                "one accounting precision in a run",
            )
        for assignment in self.assignments:
            if not assignment.symbols:
                raise ConfigError(f"strategy {assignment.id} has no symbols", "at least one")
            for symbol in assignment.symbols:
                if symbol not in symbols:
                    raise UnknownNameError.of("symbol", symbol, symbols)
            if not 0 <= assignment.cash < math.inf:
                raise ConfigError(f"strategy {assignment.id} has cash {assignment.cash}", "a finite amount, 0 or more")
            if assignment.timeframe:
                parse_timeframe(assignment.timeframe)

        cash, cash_max = sum(assignment.cash for assignment in self.assignments), 2e18 / 10.0 ** exponent(self.currency)
        if not cash <= cash_max:
            found = f"the strategies have {cash:g} {self.currency} together"
            raise ConfigError(found, f"at most {cash_max:g}, so that every sum fits 64 bits")
        for name, low, high in (("order_capacity", 1, 1 << 20), ("intent_capacity", 2, INTENTS_MAX + 1)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}", f"from {low} to {high}")

    def symbol_index(self, symbol: str) -> int:
        """The instrument index of a symbol; UnknownNameError with near names otherwise."""
        for index, listing in enumerate(self.listings):
            if listing.symbol == symbol:
                return index
        raise UnknownNameError.of("symbol", symbol, [listing.symbol for listing in self.listings])

    @property
    def currency(self) -> str:
        """The currency accounts are kept in."""
        return self.listings[0].currency

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is the inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> "Plan":
        """A plan from the plain data of `to_dict`."""
        return Plan(
            **{
                **data,
                "listings": tuple(Listing(**item) for item in data["listings"]),
                "assignments": tuple(
                    Assignment(**{**item, "symbols": tuple(item["symbols"]), "limits": Limits(**item["limits"])})
                    for item in data["assignments"]
                ),
                "venue": Venue(**data["venue"]),
                "candles": tuple(data["candles"]),
            }
        )
